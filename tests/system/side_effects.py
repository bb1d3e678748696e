#!/usr/bin/env python3
"""Counts side effects while workers are killed with SIGKILL: with --on-lost fail no command ever runs twice.

usage: side_effects.py --bin DIR [--seed S]

Each task is a command that leaves a mark of its own before it does anything else and a second one when it has ended. A
job of them runs twice, with --on-lost fail and with rerun, over tcp, while one of two workers is killed again and
again. It fails if with `fail` a command has begun twice, if a task has no outcome or two, if one is lost that nobody
can have begun, if none was lost at all; or if with `rerun` one is not done, or none has begun twice, so that nothing
was tested.
"""
import argparse
import collections
import json
import os
import random
import shutil
import sys
import tempfile
import time

from kill_storm import Role, free_port

TASKS = 400
KILLS = 8
SECONDS_MOST = 120

COMMAND = """#!/bin/sh
echo "$1" >> begun
sleep 0.02
echo "$1" >> ended
"""


def run_job(arguments, on_lost):
    folder = tempfile.mkdtemp(prefix=f"side-effects-{on_lost}-")
    command = os.path.join(folder, "effect")
    with open(command, "w") as out:
        out.write(COMMAND)
    os.chmod(command, 0o755)
    with open(os.path.join(folder, "tasks.txt"), "w") as out:
        out.writelines(f"{n}\n" for n in range(TASKS))
    address = f"tcp://127.0.0.1:{free_port()}"

    def program(role, *rest):
        return [os.path.join(arguments.bin, "ventile-" + role), *rest]

    ventilator = Role("ventilator", program("ventilator", "--bind", address, "--input", "tasks.txt", "--on-lost", on_lost),
                      folder)
    sink = Role("sink", program("sink", "--connect", address, "--output", "out.jsonl"), folder)
    workers = [Role(f"worker-{n}", program("worker", "--connect", address, "-j", "2", "--exec", f"{command} {{}}"), folder)
               for n in range(2)]
    begun = os.path.join(folder, "begun")
    deadline = time.monotonic() + SECONDS_MOST
    kills = 0
    while not (ventilator.ended() and sink.ended()) and time.monotonic() < deadline:
        time.sleep(random.uniform(0.1, 0.4))
        if kills < KILLS and os.path.exists(begun) and not ventilator.ended():
            random.choice(workers).kill()
            kills += 1
    ended = [ventilator.process.poll(), sink.process.poll()]
    for role in [ventilator, sink, *workers]:
        if role.process.poll() is None:
            role.process.kill()
            role.process.wait()
    return folder, ventilator, kills, ended


def marks(folder, name):
    with open(os.path.join(folder, name)) as lines:
        return collections.Counter(int(line) for line in lines)


def check(folder, on_lost, kills, ended, said):
    wrong = []
    if ended != [1 if on_lost == "fail" else 0, 0]:
        wrong.append(f"ventilator and sink ended with {ended}")
    with open(os.path.join(folder, "out.jsonl")) as lines:
        results = [json.loads(line) for line in lines]
    outcomes = {result["task"]: result["outcome"] for result in results}
    if len(results) != TASKS or len(outcomes) != TASKS:
        wrong.append(f"{len(results)} outcomes of {len(outcomes)} tasks; there are {TASKS}")
    begun, completed = marks(folder, "begun"), marks(folder, "ended")
    twice = [task for task, times in begun.items() if times > 1]
    lost = [task for task, outcome in outcomes.items() if outcome == "lost"]
    print(f"--on-lost {on_lost}: {kills} workers killed, {len(lost)} tasks lost, {len(twice)} commands begun twice")
    if on_lost == "rerun" and "begun again (--on-lost rerun)" not in said:
        wrong.append("the summary does not say that commands have begun again")
    if kills < KILLS:
        wrong.append("the job was too short for its kills")
    for task, outcome in outcomes.items():
        if outcome not in ("done", "lost"):
            wrong.append(f"task {task} is {outcome}")
        if outcome == "done" and not completed[task]:
            wrong.append(f"task {task} is done, and its command has not ended")
    if on_lost == "fail":
        wrong += [f"the command of task {task} has begun {begun[task]} times" for task in twice]
        if not lost:
            wrong.append("no task was lost: nothing was tested")
        if len(lost) > 2 * kills:
            wrong.append(f"{len(lost)} tasks are lost; {kills} workers of 2 slots had no more than {2 * kills} in hand")
    elif lost or not twice:
        wrong.append(f"{len(lost)} tasks are lost and {len(twice)} ran twice: nothing was tested")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(arguments.bin)
    random.seed(arguments.seed)
    for on_lost in ("fail", "rerun"):
        folder, ventilator, kills, ended = run_job(arguments, on_lost)
        wrong = check(folder, on_lost, kills, ended, ventilator.text())
        if wrong:
            print(*wrong[:20], sep="\n")
            print("--- the last of the ventilator", *ventilator.text().splitlines()[-15:], sep="\n")
            print(f"all of it is in {folder}")
            return 1
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
