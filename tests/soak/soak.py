#!/usr/bin/env python3
"""Runs jobs in a loop, kills processes all the while, and watches that those which live on do not grow.

usage: soak.py --bin DIR --plugin FILE [--minutes N | --hours N] [--csv FILE] [--seed S]

A durable fabric over tcp runs one job after the other: in each the ventilator is killed with SIGKILL and started again
with the same command, and so is one of the workers. Beside it a broker serves clients that come and go. The other
worker, the sink, the broker and its worker live through all of it; after each job their resident memory and their open
descriptors are taken down. At the end both are plotted over time, and it fails if they grow, or if a job has lost a
task or counted one twice.
"""
import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from kill_storm import Role, free_port, number_of  # noqa: E402

TASKS = 3000             # Of one job; a millisecond each.
WARM_UP = 0.25           # Of all samples: caches and pools fill.
SAMPLES_LEAST = 8
GROWTH_MOST = 0.10       # Of memory, and at least
GROWTH_KILOBYTES = 4096  # so much.
DESCRIPTORS_MOST = 3     # More than there were.
JOB_SECONDS_MOST = 120
PLOT_WIDTH = 60


class Fabric:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.broker_address = f"tcp://127.0.0.1:{free_port()}"
        with open(os.path.join(folder, "tasks.txt"), "w") as out:
            out.writelines(f"{number_of(n)}\n" for n in range(TASKS))

        def worker(name):
            return Role(name, [self.program("ventile-worker"), "--connect", self.address, "-j", "1", "--plugin",
                               arguments.plugin, "--credit-tasks", "200"], folder)

        self.victim = worker("victim")
        self.veterans = {
            "worker": worker("worker"),
            "sink": Role("sink", [self.program("ventile-sink"), "--connect", self.address, "--stay", "--durable",
                                  "sink-state", "--output", "out.jsonl"], folder),
            "broker": Role("broker", [self.program("ventile-broker"), "--quiet", "--bind", self.broker_address], folder),
            "broker's worker": Role("pi-worker", [self.program("pi"), "--work", self.broker_address], folder),
        }
        self.ventilator = None  # Of the job that runs.
        self.position = 0       # In the output.

    def program(self, name):
        return os.path.join(self.arguments.bin, name)

    def stop(self):
        for role in [self.ventilator, self.victim, *self.veterans.values()]:
            if role is not None and role.process.poll() is None:
                role.process.kill()
                role.process.wait()

    def run_job(self, number):
        """Returns what is wrong."""
        state = os.path.join(self.folder, "state")
        shutil.rmtree(state, ignore_errors=True)
        command = [self.program("ventile-ventilator"), "--quiet", "--bind", self.address, "--job", f"soak-{number}",
                   "--durable", state, "--input", "tasks.txt", "--function", "square_slowly"]
        ventilator = self.ventilator = Role("ventilator", command, self.folder)
        client = subprocess.Popen([self.program("pi"), self.broker_address], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + JOB_SECONDS_MOST
        kills = [ventilator, self.victim]
        random.shuffle(kills)
        while not ventilator.ended() and time.monotonic() < deadline:
            time.sleep(random.uniform(0.1, 0.4))
            if kills and not ventilator.ended():
                kills.pop().kill()
        if not ventilator.ended():
            return [f"job {number} did not end"]
        wrong = [] if ventilator.process.poll() == 0 else [f"job {number} ended with {ventilator.process.poll()}"]
        if client.wait(timeout=JOB_SECONDS_MOST) != 0:
            wrong.append(f"the client beside job {number} ended with {client.returncode}")
        return wrong + self.check_output(number)

    def check_output(self, number):
        seen = bytearray(TASKS)
        wrong = []
        with open(os.path.join(self.folder, "out.jsonl")) as out:
            out.seek(self.position)
            for line in iter(out.readline, ""):
                result = json.loads(line)
                seen[result["task"]] += 1
                if result.get("value") != number_of(result["task"]) ** 2:
                    wrong.append(f"job {number}: wrong: {line.strip()}")
            self.position = out.tell()
        if lost := seen.count(0):
            wrong.append(f"job {number}: {lost} tasks are lost")
        if twice := TASKS - seen.count(0) - seen.count(1):
            wrong.append(f"job {number}: {twice} tasks are there twice")
        return wrong

    def sample(self):
        """name -> (kilobytes, descriptors) of those who should not grow."""
        values = {}
        for name, role in self.veterans.items():
            with open(f"/proc/{role.process.pid}/status") as status:
                kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
            values[name] = (kilobytes, len(os.listdir(f"/proc/{role.process.pid}/fd")))
        return values


def plot(title, values, unit):
    """One line of text: a bar for each moment, the highest value at the top."""
    step = max(1, len(values) // PLOT_WIDTH)
    shown = [max(values[i:i + step]) for i in range(0, len(values), step)]
    low, high = min(shown), max(shown)
    bars = "".join("▁▂▃▄▅▆▇█"[int(7 * (value - low) / (high - low)) if high > low else 0] for value in shown)
    print(f"{title:28} {bars}  {low} to {high} {unit}")


def grown(name, samples):
    """What of it grows: the last third against the first, behind the warm-up."""
    rest = samples[int(len(samples) * WARM_UP):]
    third = max(1, len(rest) // 3)
    wrong = []
    memory = [statistics.median(kilobytes for kilobytes, _ in part) for part in (rest[:third], rest[-third:])]
    if memory[1] - memory[0] > max(GROWTH_KILOBYTES, GROWTH_MOST * memory[0]):
        wrong.append(f"the memory of the {name} grows: {memory[0]:.0f} kB at first, {memory[1]:.0f} kB at last")
    descriptors = [statistics.median(count for _, count in part) for part in (rest[:third], rest[-third:])]
    if descriptors[1] - descriptors[0] > DESCRIPTORS_MOST:
        wrong.append(f"the descriptors of the {name} grow: {descriptors[0]:.0f} at first, {descriptors[1]:.0f} at last")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.bin, arguments.plugin = os.path.abspath(arguments.bin), os.path.abspath(arguments.plugin)
    random.seed(arguments.seed)
    seconds = arguments.hours * 3600 if arguments.hours else arguments.minutes * 60
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="soak-")
    fabric = Fabric(arguments, folder)
    csv = open(arguments.csv, "w") if arguments.csv else None
    if csv:
        print("seconds,process,kilobytes,descriptors", file=csv)
    samples = {name: [] for name in fabric.veterans}
    wrong = []
    started = time.monotonic()
    jobs = 0
    try:
        while not wrong and (time.monotonic() - started < seconds or jobs < SAMPLES_LEAST):
            jobs += 1
            wrong += fabric.run_job(jobs)
            wrong += [f"the {name} has died" for name, role in fabric.veterans.items() if role.ended()]
            if wrong:
                break
            for name, sample in fabric.sample().items():
                samples[name].append(sample)
                if csv:
                    print(f"{time.monotonic() - started:.0f},{name},{sample[0]},{sample[1]}", file=csv, flush=True)
    finally:
        fabric.stop()
    for name, taken in samples.items():
        if taken:
            plot(f"{name}, memory", [kilobytes for kilobytes, _ in taken], "kB")
            plot(f"{name}, descriptors", [count for _, count in taken], "")
        if not wrong:
            wrong += grown(name, taken)
    took = time.monotonic() - started
    print(f"{jobs} jobs of {TASKS} tasks in {took:.0f} s, each ventilator and the victim ({fabric.victim.kills} times) killed")
    if not wrong:
        print("nothing lost, nothing twice, nothing grows")
        shutil.rmtree(folder)
        return 0
    print(*wrong[:20], sep="\n")
    for role in [fabric.victim, *fabric.veterans.values()]:
        print(f"--- the last of {role.name}", *role.text().splitlines()[-10:], sep="\n")
    print(f"all of it is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
