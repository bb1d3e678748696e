"""A cluster of docker/compose.yaml as a test sees it: brought up, looked at, broken and taken down.

Nobody sleeps to synchronise: whoever waits asks again until the answer is the one that is waited for, or the guard has
passed. The environment names what is tested: VENTILE_IMAGE, and CONTAINERS_BIN, the folder of the host's programs.
"""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
BIN = Path(os.environ.get("CONTAINERS_BIN", ROOT / "build/release/bin"))
PLUGINS = BIN.parent / "plugins"
IMAGE = os.environ.get("VENTILE_IMAGE", "ventile")
NOBODY = 65532  # Whom the image runs as.
GUARD = 120     # Seconds. Nothing that works takes as long.


def run(*command, check=True, **more):
    """What the command says; its failure is an error that shows all it said."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=2 * GUARD, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout if check else done


def docker(*arguments, **more):
    return run("docker", *arguments, **more)


def processes(container):
    """Who runs what in it: (user's number, program)."""
    listed = docker("top", container, "-o", "pid,uid,comm").splitlines()[1:]
    return [(int(line.split()[1]), line.split()[2]) for line in listed]


def free_port():
    """Below those that the system gives to outgoing connections, and nobody's at the moment."""
    for port in range(20000 + os.getpid() % 10000, 32000):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


def eventually(what, question):
    """The first answer that is not false. `what` is what the test fails with."""
    end = time.monotonic() + GUARD
    while time.monotonic() < end:
        if answer := question():
            return answer
    raise AssertionError(f"not within {GUARD} s: {what}")


class Cluster:
    """One compose project. Its folder holds what containers share with the test, and goes with it."""

    def __init__(self, files=("compose.yaml",), profile=None, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="ventile-containers-"))
        self.folder.chmod(0o755)
        self.project = "ventile" + self.folder.name.rsplit("-", 1)[1].lower().replace("_", "x")
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        # Of .env only what is said here: a user's environment does not change the test.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VENTILE_")}
        self.environment |= {"VENTILE_IMAGE": IMAGE, "VENTILE_PUBLISH": f"127.0.0.1:{self.port}",
                             "VENTILE_HEALTH_INTERVAL": "1s", **settings}
        self.files = [DOCKER / file for file in files]
        self.profile = ["--profile", profile] if profile else []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.logs())
        self.down("--volumes")
        shutil.rmtree(self.folder)

    def shared(self, name):
        """A folder that the containers may write to."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        return folder

    # --- Compose ---

    @property
    def command(self):
        files = [word for file in self.files for word in ("--file", str(file))]
        return ["docker-compose", "--project-name", self.project, *files, *self.profile]

    def override(self, service, **values):
        """What a file of the user's own would change in this service."""
        file = self.folder / f"override-{len(self.files)}.yaml"
        file.write_text(json.dumps({"services": {service: values}}))
        self.files.append(file)

    def compose(self, *arguments, **more):
        return run(*self.command, *arguments, env=self.environment, **more)

    def up(self, *arguments):
        self.compose("up", "--detach", *arguments)

    def down(self, *arguments):
        self.compose("down", "--timeout", "20", *arguments)

    def scale(self, service, count):
        self.up("--no-recreate", "--scale", f"{service}={count}", service)

    def client_keys(self, folder="client"):
        """Fetches a client's keys out of their volume, as docker/README.md does."""
        packed = subprocess.run([*self.command, "run", "--rm", "-T", "--entrypoint", "tar", "keys", "-cC", "/keys",
                                 folder], env=self.environment, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "--no-same-owner", "-C", self.folder], input=packed, check=True)
        return self.folder / folder

    # --- Containers ---

    def containers(self, service, *more):
        """Their ids, the lowest number first."""
        listed = docker("ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter",
                        f"label=com.docker.compose.project={self.project}", "--filter",
                        f"label=com.docker.compose.service={service}", *more).split("\n")
        return [line.split()[1] for line in sorted(listed) if line]

    def container(self, service):
        return self.containers(service, "--all")[0]

    def inspect(self, container, what):
        return json.loads(docker("inspect", "--format", "{{json " + what + "}}", container))

    def log(self, container):
        done = docker("logs", container, check=False)
        return done.stdout + done.stderr

    def logs(self):
        return self.compose("logs", "--no-color", "--timestamps", check=False).stdout

    def wait_for_line(self, container, text, count=1):
        eventually(f"{text!r} in the log of {container}:\n{self.log(container)}",
                   lambda: self.log(container).count(text) >= count)

    def well(self, container):
        """What `ventile health` says in it, now."""
        return docker("exec", container, "ventile", "health", check=False).returncode == 0

    def wait_for_health(self, container, health="healthy"):
        eventually(f"{container} is {health}", lambda: self.inspect(container, ".State.Health.Status") == health)

    def wait_for_exit(self, container):
        """Its exit code."""
        eventually(f"{container} ends", lambda: not self.inspect(container, ".State.Running"))
        return self.inspect(container, ".State.ExitCode")

    def network(self):
        return f"{self.project}_fabric"

    def host_address(self, container):
        return self.inspect(container, ".NetworkSettings.Networks")[self.network()]["IPAddress"]

    @contextlib.contextmanager
    def squatter(self):
        """A worker of nobody's, which has the lowest address that is free in the network. Waits until it runs."""
        squatter = docker("run", "--detach", "--network", self.network(), IMAGE, "worker", "--insecure", "--connect",
                          "tcp://nobody:5570").strip()
        try:
            self.wait_for_line(squatter, "'nobody' cannot be looked up")
            yield squatter
        finally:
            docker("rm", "--force", squatter)

    # --- The fabric, from the host ---

    def ventile(self, command, *arguments, **more):
        keys = [] if "--keys" in arguments else ["--keys", self.folder / "client"]
        return run(BIN / "ventile", command, "--connect", self.address, *keys, *arguments, **more)

    def status(self):
        done = self.ventile("status", "--json", "--patience", "10s", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_for_workers(self, count):
        eventually(f"{count} workers at the broker",
                   lambda: (status := self.status()) and len(status["workers"]) == count)

    def done(self):
        """Tasks of the open jobs that are done."""
        status = self.status()
        return sum(job["outcomes"]["done"] for job in status["jobs"]) if status else 0

    def wait_for_progress(self, tasks=1):
        """In mid-job: so many tasks more are done than at first, and the job goes on."""
        first = self.done()
        eventually(f"{tasks} more tasks are done", lambda: self.done() >= first + tasks)

    @contextlib.contextmanager
    def map(self, function, count, value_of=lambda number: number * number):
        """A job at the broker, over the numbers below `count`; the block runs while it does. Then its results are exact."""
        out, errors = self.folder / "results", self.folder / "map.log"
        with open(out, "w") as results, open(errors, "w") as log:
            job = subprocess.Popen([BIN / "ventile", "map", "--connect", self.address, "--keys",
                                    self.folder / "client", "--function", function, "--range", f"0:{count}"],
                                   stdout=results, stderr=log)
            try:
                yield job
                code = job.wait(2 * GUARD)
            finally:
                job.kill()
                job.wait()
        said = errors.read_text()
        assert code == 0, f"the map ended with {code}:\n{said}"
        assert f"submitted {count} = done {count} + failed 0; lost 0, counted twice 0" in said, said
        values = [json.loads(line) for line in out.read_text().splitlines()]
        assert [(value["task"], value["value"]) for value in values] == [(n, value_of(n)) for n in range(count)]


@contextlib.contextmanager
def image_with(tag, *plugins):
    """The image under test with plugins of one's own, as docker/README.md makes it."""
    image = f"{IMAGE.split(':')[0]}:{tag}"
    with tempfile.TemporaryDirectory() as folder:
        for plugin in plugins:
            (Path(folder) / plugin).write_bytes((PLUGINS / plugin).read_bytes())
        (Path(folder) / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY *.so /usr/lib/ventile/plugins/\n")
        docker("build", "--quiet", "--tag", image, folder)
    try:
        yield image
    finally:
        docker("image", "rm", "--force", image)


class ContainerTest(unittest.TestCase):
    """Shows everything that differs."""
    maxDiff = None


def main():
    unittest.main(verbosity=2)
