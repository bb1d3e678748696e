#!/usr/bin/env python3
"""What the image must be, whoever runs it."""
import json
import os
import tempfile
from pathlib import Path

from cluster import BIN, DOCKER, IMAGE, NOBODY, ContainerTest, docker, eventually, image_with, main, processes, run

BASE = "debian:bookworm-slim"
ABOVE_BASE_MAX = 25_000_000  # Bytes.
HARDENED = ["--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


def config(what):
    return json.loads(docker("image", "inspect", "--format", "{{json ." + what + "}}", IMAGE))


class ImageTest(ContainerTest):
    def test_it_takes_the_role_as_its_argument(self):
        self.assertEqual(config("Config.Entrypoint"), ["/usr/bin/ventile"])
        self.assertTrue(docker("run", *HARDENED, IMAGE, "version").startswith("ventile "))
        self.assertIn("Usage: ventile-worker", docker("run", *HARDENED, IMAGE, "worker", "--help"))

    def test_it_runs_as_a_number_that_is_nobody(self):
        self.assertEqual(config("Config.User"), f"{NOBODY}:{NOBODY}")

    def test_it_is_stopped_by_a_signal_that_drains(self):
        self.assertEqual(config("Config.StopSignal"), "SIGTERM")

    def test_its_health_is_asked_without_a_shell(self):
        self.assertEqual(config("Config.Healthcheck")["Test"], ["CMD", "/usr/bin/ventile", "health"])

    def test_its_labels_say_what_it_is(self):
        labels = config("Config.Labels")
        version = docker("run", "--rm", IMAGE, "version").split("\n")[0]
        self.assertEqual("ventile " + labels["org.opencontainers.image.version"], version)
        for name in ("title", "description", "licenses", "revision", "base.name"):
            self.assertTrue(labels["org.opencontainers.image." + name])

    def test_it_is_small(self):
        size, base = (int(docker("image", "inspect", "--format", "{{.Size}}", image)) for image in (IMAGE, BASE))
        self.assertLess(size - base, ABOVE_BASE_MAX)

    def test_no_file_gives_anybody_the_rights_of_another(self):
        found = docker("run", "--rm", "--user", "0", "--entrypoint", "find", IMAGE, "/", "-xdev", "-type", "f", "-perm",
                       "/6000")
        self.assertEqual(found, "")

    def test_no_file_may_be_written_by_everybody(self):
        found = docker("run", "--rm", "--user", "0", "--entrypoint", "find", IMAGE, "/", "-xdev", "-type", "f", "-perm",
                       "-0002")
        self.assertEqual(found, "")

    def test_every_library_is_there(self):
        self.assertNotIn("not found", docker("run", "--rm", "--entrypoint", "ldd", IMAGE, "/usr/bin/ventile"))

    def test_what_it_serves_is_loaded_from_its_folder(self):
        docker("run", *HARDENED, IMAGE, "map", "--plugin", "/usr/lib/ventile/plugins", "--function", "circle",
               "--range", "0:10")

    def test_the_process_of_a_role_is_the_program_itself(self):
        name = f"ventile-first-{os.getpid()}"
        docker("run", "--detach", "--name", name, *HARDENED, "--init=false", IMAGE, "broker")
        try:
            self.assertEqual(processes(name), [(NOBODY, "ventile")])
            health = ["inspect", "--format", "{{.State.Health.Status}}", name]
            eventually("the broker is healthy", lambda: docker(*health) == "healthy\n")
            docker("stop", "--time", "20", name)  # Number 1 of its container hears the signal, too.
        finally:
            docker("rm", "--force", name, check=False)

    def test_a_plugin_of_ones_own_takes_two_lines(self):
        with image_with("mine", "plugin_marks.so") as mine:
            said = docker("run", *HARDENED, "--tmpfs", "/marks:mode=0777", mine, "map", "--plugin",
                          "/usr/lib/ventile/plugins", "--function", "mark", "--range", "7:8")
        self.assertIn('"value":49', said)


class BuildTest(ContainerTest):
    """docker/build by both builders."""

    def test_buildkit_makes_the_same_image(self):
        self.compare("1")

    def test_the_classic_builder_makes_the_same_image(self):
        self.compare("0")

    def compare(self, buildkit):
        tag = IMAGE.split(":")[0] + ":buildkit" + buildkit
        with tempfile.TemporaryDirectory() as first_in_path:
            (Path(first_in_path) / "docker").symlink_to(self.client(buildkit))
            said = run(DOCKER / "build", "--preset", BIN.parent.name, tag,
                       env=os.environ | {"DOCKER_BUILDKIT": buildkit, "PATH": f"{first_in_path}:{os.environ['PATH']}"})
        try:
            self.assertRegex(said, r"\d+ MB, of which \d+ MB are above")
            self.assertEqual(self.content(tag), self.content(IMAGE))
        finally:
            docker("image", "rm", tag)

    @staticmethod
    def content(image):
        sums = docker("run", "--rm", "--entrypoint", "sha256sum", image, "/usr/bin/ventile",
                      "/usr/lib/ventile/plugins/wordcount.so")
        return sums + docker("image", "inspect", "--format",
                             "{{json .Config.Entrypoint}} {{.Config.User}} {{json .Config.Healthcheck}}", image)

    @staticmethod
    def client(buildkit):
        """A docker client that has this builder: Debian's has both, newer ones have BuildKit only with a component."""
        for client in run("bash", "-c", "type -ap docker").split():
            trial = run(client, "build", "--help", env=os.environ | {"DOCKER_BUILDKIT": buildkit}, check=False)
            if trial.returncode == 0:
                return client
        raise AssertionError("no docker client here has that builder")


if __name__ == "__main__":
    main()
