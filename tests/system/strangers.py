#!/usr/bin/env python3
"""A thousand strangers at the port of a dispatcher with keys, while it serves a job.

They have no key and never get in (crowd.cpp). Some say nothing, some say nonsense, some begin the handshake and stop,
some claim huge frames and send them, some send parts without an end, some only knock. Whoever is thrown out comes back.

The job must lose nothing, count nothing twice and go on while they are there; the dispatcher must not take more memory
than a stranger's connection may hold. What the strangers cost in throughput, once the worker is there, is said, and not
judged: it is a figure of the machine.

A thousand strangers take processors, wherever they call. With --door they call at another door in other turns, which
drops at once whom ours would throw out, as cheaply as can be (door.cpp). Who is dropped there comes back sooner.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time


class Crowd:
    """The program crowd: strangers of all kinds at a port, who are all there before this one is made."""

    def __init__(self, program, port, count):
        self.process = subprocess.Popen([program, str(port), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        if self.process.stdout.readline() != "there\n":
            sys.exit("the strangers did not come")

    def leave(self):
        """How often each kind has connected."""
        said = self.process.communicate()[0]
        if self.process.returncode:
            sys.exit(f"the strangers ended with {self.process.returncode}")
        return json.loads(said)


def memory(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


class Job:
    def __init__(self, programs, folder, name, tasks):
        self.programs, self.folder, self.keys = programs, folder, folder / "keys"
        self.results = folder / name
        self.ventilator = self.start("ventile-ventilator", "--bind", "tcp://127.0.0.1:0", "--function", "index",
                                     "--range", f"0:{tasks}", "--json", "--verbose")
        self.address = self.said(self.ventilator, r"on (tcp://127\.0\.0\.1:\d+)")
        self.others = []

    def start(self, program, *arguments):
        command = [self.programs / program, "--keys", self.keys, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def said(process, pattern):
        for line in process.stderr:
            if found := re.search(pattern, line):
                return found[1]
        sys.exit(f"{process.args[0]} ended early")

    def go(self):
        self.others = [
            self.start("ventile-sink", "--connect", self.address, "--output", "/dev/null", "--format", "raw"),
            self.start("ventile-worker", "--connect", self.address, "--slots", "1", "--quiet")]
        for process in self.others:
            subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        called = time.monotonic()
        self.said(self.ventilator, "^(.*worker .* is here)")
        self.begun = time.monotonic()
        self.joining = self.begun - called
        subprocess.Popen(["cat"], stdin=self.ventilator.stderr, stdout=subprocess.DEVNULL)

    def summary(self):
        summary = json.loads(self.ventilator.stdout.read().splitlines()[-1])
        code = self.ventilator.wait()
        for process in self.others:
            process.kill()
            process.wait()
        return code, summary


class Turn:
    """One job, and what was seen of it while strangers called somewhere, or nowhere."""

    def __init__(self, options, folder, kind, door):
        job = Job(options.bin, folder, kind, options.tasks)
        self.begin = memory(job.ventilator.pid)
        self.peak = self.begin
        self.knocks = {}
        self.job = job
        port = door if kind == "elsewhere" else int(job.address.rsplit(":", 1)[1])
        crowd = None if kind == "alone" else Crowd(options.crowd, port, options.strangers)
        job.go()
        while self.go_on():
            time.sleep(0.02)
        job.seconds = time.monotonic() - job.begun
        if crowd:
            self.knocks = crowd.leave()
        code, summary = job.summary()
        audit = summary["audit"]
        if code or audit["lost"] or audit["counted_twice"] or summary["outcomes"]["done"] != options.tasks:
            sys.exit(f"{kind}: the job ended with {code}: {summary}")
        self.rate = options.tasks / job.seconds
        print(f"{kind}: {self.rate / 1e6:.2f} M tasks/s, {self.megabytes():.1f} MB more at most, "
              f"{sum(self.knocks.values()) / (job.joining + job.seconds):.0f} connections a second, "
              f"the worker was there after {job.joining:.1f} s", flush=True)

    def go_on(self):
        if self.job.ventilator.poll() is not None:
            return False
        try:
            self.peak = max(self.peak, memory(self.job.ventilator.pid))
        except (OSError, TypeError):
            return False
        return True

    def megabytes(self):
        return (self.peak - self.begin) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--crowd", type=pathlib.Path, required=True, help="the program crowd")
    parser.add_argument("--door", type=pathlib.Path, help="the program door: strangers call there, too, in other turns")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--strangers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=20_000_000)
    parser.add_argument("--most-megabytes", type=float, help="that the dispatcher may take because of them")
    options = parser.parse_args()
    kinds = ["alone", "elsewhere", "besieged"] if options.door else ["alone", "besieged"]
    turns = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([options.bin / "ventile", "keygen", "--out", folder / "keys"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        other = subprocess.Popen([options.door], stdout=subprocess.PIPE, text=True) if options.door else None
        door = int(other.stdout.readline()) if other else None
        try:
            for turn in range(options.turns):
                for kind in kinds if turn % 2 == 0 else reversed(kinds):
                    turns[kind].append(Turn(options, folder, kind, door))
        finally:
            if other:
                other.kill()
                other.wait()
    knocks = collections.Counter()
    for turn in turns["besieged"]:
        knocks.update(turn.knocks)
    print(f"{sum(knocks.values())} connections by {options.strangers} strangers: "
          + ", ".join(f"{kind} {count}" for kind, count in knocks.items()))
    for kind in kinds[:-1]:  # By turns: the machine is not as fast in each.
        ratio = statistics.median(besieged.rate / other.rate for besieged, other in zip(turns["besieged"], turns[kind]))
        print(f"throughput while they call at our door: {ratio:.2f} of that "
              + ("while they call at another" if kind == "elsewhere" else "while nobody does"))
    most = (max(turn.megabytes() for turn in turns["besieged"]) - max(turn.megabytes() for turn in turns["alone"]))
    print(f"{most:.1f} MB because of them")
    if options.most_megabytes is not None and most > options.most_megabytes:
        sys.exit(f"more than {options.most_megabytes} MB")


if __name__ == "__main__":
    main()
