#!/usr/bin/env python3
"""Kills every role of a durable job again and again, and checks what is left with a plain count.

usage: kill_storm.py --bin DIR --plugin FILE [--broker] [--seconds N | --minutes N] [--seed S]

A ventilator, four workers and a sink over tcp, ventilator and sink durable; or, with --broker, a durable broker and four
workers, with a `ventile map` for a client, which nobody kills, for its results are with it. A random role is killed with
SIGKILL every 0.2 to 1 second and started again; workers are stopped and go on. (The same job in peace, before it, says how long one
must be to outlast the storm, and what the storm costs.) Every task is a number; its result is its square, which this
program works out by itself: it shares no code with what it checks. It fails if a result is missing, wrong or there twice,
or if any role was killed fewer than five times. A storm in which no result ever came late has proved little: then another
follows, and it fails if the third is as weak.
"""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

WORKERS = 4
PEACE_TASKS = 20_000
KILLS_LEAST = 5
STORMS_MOST = 3


def number_of(task):
    return task * 2654435761 % 2**32


def free_port():
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Role:
    """A process that is started again whenever it has been killed."""

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, command, folder
        self.kills = 0
        self.lives = 0
        self.log = open(os.path.join(folder, name + ".log"), "ab")
        self.process = None
        self.start()

    def start(self):
        self.lives += 1
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)

    def kill(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self.start()

    def ended(self):
        return self.process.poll() is not None

    def text(self):
        with open(os.path.join(self.folder, self.name + ".log"), errors="replace") as log:
            return log.read()


class Survivor(Role):
    """The client of a broker, which is never killed. It has the summary, and its output is the job's."""

    def start(self):
        with open(os.path.join(self.folder, "out.jsonl"), "wb") as out:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=self.log)


def fabric(arguments, folder, tasks):
    """All roles of a durable job of so many tasks, started."""
    with open(os.path.join(folder, "tasks.txt"), "w") as out:
        out.writelines(f"{number_of(n)}\n" for n in range(tasks))
    address = f"tcp://127.0.0.1:{free_port()}"

    def program(role, *rest):
        return [os.path.join(arguments.bin, "ventile-" + role), *rest]

    if arguments.broker:
        roles = {
            "broker": Role("broker", program("broker", "--bind", address, "--durable", "state"), folder),
            "map": Survivor("map", [os.path.join(arguments.bin, "ventile"), "map", "--connect", address, "--input",
                                    "tasks.txt", "--format", "lines", "--function", "square_slowly", "--json"], folder),
        }
        return add_workers(arguments, roles, program, address, folder)
    roles = {
        "ventilator": Role("ventilator", program("ventilator", "--bind", address, "--job", "storm", "--durable",
                                                 "state", "--input", "tasks.txt", "--function", "square_slowly", "--json"),
                           folder),
        "sink": Role("sink", program("sink", "--connect", address, "--bind", f"tcp://127.0.0.1:{free_port()}",
                                     "--durable", "state", "--output", "out.jsonl"), folder),
    }
    return add_workers(arguments, roles, program, address, folder)


def add_workers(arguments, roles, program, address, folder):
    for n in range(WORKERS):
        # Few tasks at once, so that the job is in every state when it is hit.
        roles[f"worker-{n}"] = Role(f"worker-{n}", program("worker", "--connect", address, "-j", "1",
                                                           "--plugin", arguments.plugin, "--credit-tasks", "64"), folder)
    return roles


def enders(roles):
    """Those who end by themselves when the job is over, the one with the summary first."""
    return [roles["map"]] if "map" in roles else [roles["ventilator"], roles["sink"]]


def victims_of(roles):
    return [role for role in roles.values() if not isinstance(role, Survivor)]


def stop(roles):
    for role in roles.values():
        if role.process.poll() is None:
            role.process.kill()
            role.process.wait()


def rate_in_peace(arguments):
    with tempfile.TemporaryDirectory(prefix="kill-storm-") as folder:
        roles = fabric(arguments, folder, PEACE_TASKS)
        try:
            enders(roles)[0].process.wait(timeout=200)
        finally:
            stop(roles)
        summary = next(line for line in enders(roles)[0].text().splitlines() if line.startswith("{"))
        return json.loads(summary)["tasks_per_second"]


def run(arguments, seconds, tasks):
    random.seed(arguments.seed)
    folder = tempfile.mkdtemp(prefix="kill-storm-")
    roles = fabric(arguments, folder, tasks)
    started = time.monotonic()
    stopped = []
    deadline = started + seconds
    while not all(role.ended() for role in enders(roles)):
        time.sleep(random.uniform(0.2, 1.0))
        now = time.monotonic()
        for when, role, pid in [entry for entry in stopped if entry[0] <= now]:
            stopped.remove((when, role, pid))
            if role.process.pid == pid:
                role.process.send_signal(signal.SIGCONT)
        if now > deadline + 240:
            break
        if now > deadline and all(role.kills >= KILLS_LEAST for role in victims_of(roles)):
            continue  # The storm is over; the job ends in peace.
        victims = victims_of(roles)
        random.shuffle(victims)
        victim = min(victims, key=lambda role: role.kills) if random.random() < 0.5 else victims[0]
        if victim.name.startswith("worker") and random.random() < 0.25:
            victim.process.send_signal(signal.SIGSTOP)
            stopped.append((now + random.uniform(0.5, 4), victim, victim.process.pid))
        else:
            victim.kill()
    took = time.monotonic() - started
    ended = [role.process.poll() for role in enders(roles)]
    stop(roles)
    return folder, roles, took, ended


def check(folder, roles, tasks, ended):
    wrong = []
    if any(ended):
        wrong.append(f"{' and '.join(role.name for role in enders(roles))} ended with {ended}")
    seen = bytearray(tasks)
    with open(os.path.join(folder, "out.jsonl")) as out:
        for line in out:
            result = json.loads(line)
            number = result["task"]
            expected = number_of(number) ** 2
            if seen[number]:
                wrong.append(f"task {number} is there twice")
            seen[number] = 1
            if result["outcome"] != "done" or result["value"] != expected:
                wrong.append(f"task {number} is wrong: {line.strip()}")
    missing = tasks - sum(seen)
    if missing:
        wrong.append(f"{missing} of {tasks} results are missing")
    for role in victims_of(roles):
        if role.kills < KILLS_LEAST:
            wrong.append(f"{role.name} was killed only {role.kills} times: the job was too short for a storm")
    for name, words in {"ventilator": "resumed storm", "sink": "resumed with", "broker": "resumed 1 job"}.items():
        if name in roles and words not in roles[name].text():
            wrong.append(f"the {name} has resumed nothing")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--broker", action="store_true")
    parser.add_argument("--seconds", type=float, default=50)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(arguments.bin)
    arguments.plugin = os.path.abspath(arguments.plugin)
    seconds = arguments.minutes * 60 if arguments.minutes else arguments.seconds
    peace = rate_in_peace(arguments)
    tasks = max(PEACE_TASKS, int(peace * seconds * 0.75))
    for storm in range(1, STORMS_MOST + 1):
        folder, roles, took, ended = run(arguments, seconds, tasks)
        wrong = check(folder, roles, tasks, ended)
        kills = ", ".join(f"{role.name} {role.kills}" for role in victims_of(roles))
        print(f"{tasks} tasks in {took:.1f} s; killed: {kills}; {tasks / took:.0f} tasks/s, "
              f"{100 * tasks / took / peace:.0f} % of {peace:.0f} in peace", flush=True)
        late = any("dropped late results" in role.text() for role in roles.values())
        if wrong or late or storm == STORMS_MOST:
            break
        print("no result came late; once more", flush=True)
        shutil.rmtree(folder)
        arguments.seed += 1
    if not wrong and not late:
        wrong.append(f"no result came late in {STORMS_MOST} storms: nothing was ever in doubt")
    if not wrong:
        print("0 lost, 0 twice")
        shutil.rmtree(folder)
        return 0
    print(*wrong[:20], sep="\n")
    for role in roles.values():
        print(f"--- the last of {role.name}", *role.text().splitlines()[-15:], sep="\n")
    print(f"all of it is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
