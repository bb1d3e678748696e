#!/usr/bin/env python3
"""Takes from the roles of a job what a machine can run out of, and gives it back.

usage: limits.py --bin DIR --case NAME [--broken-disk FILE] [--seconds N]

  full-ventilator, full-broker, full-sink, full-output
                 the file system with its journal, or with the output, is full for a while
  eio-ventilator, eio-broker, eio-sink
                 no sync succeeds any more: the process stops and says why; started again, it goes on
  stopped-sink   it stands still for some seconds, and nobody's memory grows beyond its windows

Every task is a line of its own, and its result is that line. A plain count of the output, which shares no code with
what it checks, must find each of them once. Needs root for the file systems that it fills: they are mounted where nobody
else sees them.
"""
import argparse
import collections
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

GUARD = 100  # Seconds; nothing that works takes as long.
SKIPPED = 77


class Wrong(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        while True:
            port = 20000 + int.from_bytes(os.urandom(2), "little") % 12000
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(reached, what):
    deadline = time.monotonic() + GUARD
    while not reached():
        if time.monotonic() > deadline:
            raise Wrong(f"waited in vain until {what}")
        time.sleep(0.02)


class Role:
    def __init__(self, name, command, folder, stdin=subprocess.DEVNULL, environment=None):
        self.name, self.command, self.folder = name, command, folder
        self.stdin, self.environment = stdin, environment or {}
        self.path = os.path.join(folder, name + ".log")
        self.start()

    def start(self):
        with open(self.path, "ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=self.stdin, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})

    def text(self):
        with open(self.path, errors="replace") as log:
            return log.read()

    def says(self, words, count=1):
        def said():
            if self.text().count(words) >= count:
                return True
            if self.process.poll() is not None:
                raise Wrong(f"{self.name} has ended with {self.process.poll()} and did not say '{words}'")
            return False

        wait_until(said, f"{self.name} says '{words}'")

    def ends(self, code=0):
        try:
            ended = self.process.wait(timeout=GUARD)
        except subprocess.TimeoutExpired as late:
            raise Wrong(f"{self.name} does not end") from late
        if ended != code:
            raise Wrong(f"{self.name} has ended with {ended}, not {code}")

    def megabytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0


class Small:
    """A file system of so many megabytes, which can be filled, and be given more."""

    def __init__(self, path, megabytes):
        self.path = path
        os.makedirs(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}M", "tmpfs", path], check=True)

    def leave(self, kilobytes):
        """Fills it up to that."""
        free = os.statvfs(self.path)
        with open(os.path.join(self.path, "ballast"), "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - kilobytes * 1024)

    def empty(self):
        os.remove(os.path.join(self.path, "ballast"))

    def grow(self, megabytes):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}M", self.path], check=True)


class Job:
    """All roles of a durable job of `count` tasks of so many bytes, over tcp. `map` is the client of a broker."""

    all = []

    def __init__(self, arguments, folder, count, size, broker=False, workers=2):
        Job.all.append(self)
        self.arguments, self.folder, self.broker = arguments, folder, broker
        self.lines = [f"{n} ".ljust(size, "x") for n in range(count)]
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.state = {"dispatcher": os.path.join(folder, "state"), "sink": os.path.join(folder, "state")}
        self.output = os.path.join(folder, "out")
        self.environment, self.options, self.descriptors, self.roles = {}, {}, {}, {}
        self.workers = workers

    def program(self, name, *rest):
        return [os.path.join(self.arguments.bin, name), *rest]

    def add(self, name, command, **more):
        if name in self.descriptors:
            command = ["prlimit", f"--nofile={self.descriptors[name]}", *command]
        self.roles[name] = Role(name, command + self.options.get(name, []), self.folder,
                                environment=self.environment.get(name), **more)
        return self.roles[name]

    def start(self, feed=True):
        if self.broker:
            self.add("broker", self.program("ventile-broker", "--bind", self.address, "--durable",
                                            self.state["dispatcher"]))
            self.add("map", self.program("ventile", "map", "--connect", self.address, "--function", "echo", "--format",
                                         "lines", "--output", self.output, "--output-format", "raw"),
                     stdin=subprocess.PIPE)
        else:
            self.add("ventilator", self.program("ventile-ventilator", "--bind", self.address, "--job", "limits",
                                                "--durable", self.state["dispatcher"], "--function", "echo", "--format",
                                                "lines"), stdin=subprocess.PIPE)
            self.results_address = f"tcp://127.0.0.1:{free_port()}"
            self.add("sink", self.program("ventile-sink", "--connect", self.address, "--bind", self.results_address,
                                          "--durable", self.state["sink"], "--output",
                                          self.output, "--format", "raw"))
        for n in range(self.workers):
            self.work(n)
        if feed:
            self.feed()

    def work(self, number):
        self.add(f"worker-{number}", self.program("ventile-worker", "--connect", self.address, "-j", "2"))

    def source(self):
        return self.roles["map" if self.broker else "ventilator"]

    def feed(self, first=0, end=None):
        """Writes these lines into the pipe that is the input, as fast as they are taken."""
        pipe = self.source().process.stdin

        def write():
            try:
                for line in self.lines[first:end]:
                    pipe.write(line.encode() + b"\n")
                pipe.flush()
                if end is None:
                    pipe.close()
            except (BrokenPipeError, ValueError):
                pass

        self.feeder = threading.Thread(target=write, daemon=True)
        self.feeder.start()
        return self.feeder

    def results(self):
        try:
            with open(self.output) as out:
                return sum(1 for _ in out)
        except FileNotFoundError:
            return 0

    def check(self):
        """It ends, and every task is there once."""
        for name in ["map"] if self.broker else ["ventilator", "sink"]:
            self.roles[name].ends()
        with open(self.output) as out:
            seen = collections.Counter(line.rstrip("\n").strip('"') for line in out)
        lost = [line for line in self.lines if line not in seen]
        twice = [line for line, times in seen.items() if times > 1]
        strange = len(seen.keys() - set(self.lines))
        if lost or twice or strange:
            raise Wrong(f"{len(lost)} of {len(self.lines)} lost, {len(twice)} twice, {strange} of nobody")

    def stop(self):
        for role in self.roles.values():
            if role.process.poll() is None:
                role.process.send_signal(signal.SIGCONT)
                role.process.kill()
                role.process.wait()


# --- A full disk --------------------------------------------------------------------------------------------------


def full_dispatcher(arguments, folder, broker):
    """Two segments of its journal fit, one of them in reserve; the input needs more."""
    job = Job(arguments, folder, 1500, 40_000, broker)
    disk = Small(os.path.join(folder, "small"), 36)
    job.state["dispatcher"] = os.path.join(disk.path, "state")
    job.start()
    role = job.roles["broker" if broker else "ventilator"]
    role.says("no room on the disk for the journal in " + job.state["dispatcher"])
    disk.grow(400)
    role.says("there is room again for the journal in ")
    job.check()


def full_sink(arguments, folder):
    """What waits for those before it is in its journal, and a worker that stands still has these."""
    job = Job(arguments, folder, 1500, 40_000)
    disk = Small(os.path.join(folder, "small"), 36)
    job.state["sink"] = os.path.join(disk.path, "state")
    job.options["sink"] = ["--ordered"]
    job.start(feed=False)
    job.roles["ventilator"].says(" is here with 2 slots", job.workers)
    job.roles["worker-0"].process.send_signal(signal.SIGSTOP)
    job.feed()
    sink = job.roles["sink"]
    sink.says("no room on the disk for the journal in " + job.state["sink"])
    disk.grow(400)
    sink.says("there is room again for the journal in ")
    job.roles["worker-0"].process.send_signal(signal.SIGCONT)
    job.check()


def full_output(arguments, folder):
    job = Job(arguments, folder, 3000, 1000)
    disk = Small(os.path.join(folder, "small"), 20)
    job.output = os.path.join(disk.path, "out")
    disk.leave(200)
    job.start()
    sink = job.roles["sink"]
    sink.says("No space left on device; what comes waits until there is room")
    if job.output not in sink.text():
        raise Wrong("the sink does not say what has no room")
    disk.empty()
    sink.says("there is room again for the output")
    job.check()


# --- A disk that goes bad -----------------------------------------------------------------------------------------


def journal_end(arguments, job):
    """How many bytes a ventilator's journal has."""
    folder = os.path.join(job.state["dispatcher"], "job-limits")
    told = subprocess.run([os.path.join(arguments.bin, "ventile"), "journal", "inspect", folder], capture_output=True,
                          text=True, check=True)
    return max(int(position) for position in re.findall(r"positions \d+ to (\d+)", told.stdout))


def eio(arguments, folder, name):
    job = Job(arguments, folder, 2000, 1000, broker=name == "broker")
    sign = os.path.join(folder, "broken")
    job.environment[name] = {"LD_PRELOAD": arguments.broken_disk, "VENTILE_BROKEN_DISK": sign}
    job.start(feed=False)
    job.feed(0, 1000).join()
    wait_until(lambda: job.results() >= 1000, "there are results")
    before = journal_end(arguments, job) if name == "ventilator" else 0
    with open(sign, "w", encoding="ascii"):
        pass
    job.feed(1000, 1003).join()  # They fit into one write of the pipe, and are accepted together or not at all.
    role = job.roles[name]
    role.ends(1)
    if not re.search("cannot sync .*: Input/output error; start .* again with the same command to go on", role.text()):
        raise Wrong(f"{name} does not say why it has ended, and what to do")
    for other in job.roles.values():
        if other is not role and other.process.poll() is not None:
            raise Wrong(f"{other.name} has ended because {name} has")
    # A sync that has failed may have done its work all the same: whoever writes into a pipe goes on where it was.
    forgotten = name == "ventilator" and journal_end(arguments, job) - before < 3 * 1000
    os.remove(sign)
    role.start()
    role.says("resum")
    job.feed(1000 if forgotten else 1003)
    job.check()


# --- A sink that stands still -------------------------------------------------------------------------------------


def stopped_sink(arguments, folder):
    """Of 400 MB of tasks everybody holds what its windows allow, and no more the longer it lasts."""
    job = Job(arguments, folder, 4000, 100_000)
    job.options = {f"worker-{n}": ["--kept-bytes-max", "32MiB", "--credit-bytes", "16MiB"] for n in range(job.workers)}
    job.start()
    wait_until(lambda: job.results() > 100, "there are results")
    job.roles["sink"].process.send_signal(signal.SIGSTOP)
    half = arguments.seconds / 2
    time.sleep(half)
    before = {name: role.megabytes() for name, role in job.roles.items()}
    time.sleep(half)
    after = {name: role.megabytes() for name, role in job.roles.items()}
    job.roles["sink"].process.send_signal(signal.SIGCONT)
    print("megabytes:", ", ".join(f"{name} {before[name]:.0f} and {after[name]:.0f}" for name in job.roles))
    for name, megabytes in after.items():
        if megabytes > 160 or megabytes > before[name] + 16:
            raise Wrong(f"the memory of {name} grows while the sink stands still")
    job.check()


# --- No descriptor left -------------------------------------------------------------------------------------------


def no_descriptors(arguments, folder, name):
    """Strangers take all that a role has. Who is in works on, who knocks hears that there is no room, and comes in when
    they are gone."""
    job = Job(arguments, folder, 2000, 100, broker=name == "broker")
    job.descriptors = {name: 64}
    job.start(feed=False)
    job.feed(0, 1000).join(GUARD)
    wait_until(lambda: job.results() > 0, "there are results")
    address = job.results_address if name == "sink" else job.address
    host, port = address.removeprefix("tcp://").split(":")
    strangers = [socket.create_connection((host, int(port))) for _ in range(100)]
    for stranger in strangers:
        stranger.setblocking(False)
    job.roles[name].says(f"cannot let anybody else in at {address}: Too many open files; this process may open 64 files")

    def is_closed(stranger):
        try:
            return stranger.recv(512) == b""  # The greeting, if it was let in.
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    wait_until(lambda: any(is_closed(stranger) for stranger in strangers), "a stranger is turned away")
    job.feed(1000)
    wait_until(lambda: job.results() > 1000, "there are results in spite of the strangers")
    for stranger in strangers:
        stranger.close()
    job.work(2)
    job.check()


CASES = {
    "full-ventilator": lambda a, f: full_dispatcher(a, f, False),
    "full-broker": lambda a, f: full_dispatcher(a, f, True),
    "full-sink": full_sink,
    "full-output": full_output,
    "eio-ventilator": lambda a, f: eio(a, f, "ventilator"),
    "eio-broker": lambda a, f: eio(a, f, "broker"),
    "eio-sink": lambda a, f: eio(a, f, "sink"),
    "stopped-sink": stopped_sink,
    "no-descriptors-ventilator": lambda a, f: no_descriptors(a, f, "ventilator"),
    "no-descriptors-broker": lambda a, f: no_descriptors(a, f, "broker"),
    "no-descriptors-sink": lambda a, f: no_descriptors(a, f, "sink"),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--broken-disk", default="")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(arguments.bin)
    arguments.broken_disk = os.path.abspath(arguments.broken_disk)
    if arguments.case.startswith("full-") and not arguments.inside:
        if os.geteuid() != 0:
            print("skipped: needs root to mount a small file system")
            return SKIPPED
        able = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
        if able.returncode != 0:
            print("skipped: there are no mount namespaces here")
            return SKIPPED
        return subprocess.run(["unshare", "--mount", sys.executable, *sys.argv, "--inside"], check=False).returncode
    folder = tempfile.mkdtemp(prefix="limits-")
    try:
        CASES[arguments.case](arguments, folder)
        wrong = None
    except Wrong as why:
        wrong = why
    for job in Job.all:
        job.stop()
    if wrong is None:
        print("0 lost, 0 twice")
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(wrong)
    for job in Job.all:
        for role in job.roles.values():
            print(f"--- the last of {role.name}", *role.text().splitlines()[-15:], sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
