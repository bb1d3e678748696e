#!/usr/bin/env python3
"""Counts side effects while processes are killed with SIGKILL: with --on-lost fail no command ever runs twice.

usage: side_effects.py --bin DIR [--by ventilator|broker|durable-broker] [--seed S]

Each task is a command that leaves a mark of its own before it does anything else and a second one when it has ended. A
job of them runs twice, with --on-lost fail and with rerun, over tcp, while one of two workers is killed again and
again; by way of a broker, the broker is killed, too. It fails if with `fail` a command has begun twice, if a task has no
outcome or two, if one is lost that nobody can have begun, if none was lost at all; or if with `rerun` one is not done,
or none has begun twice, so that nothing was tested. (A broker without --durable takes with it what it knew: everything
that it was offered may have begun, so it is offered little ahead.)
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

from kill_storm import Role, Survivor, free_port

TASKS = 400
KILLS = 8
# Tasks that may be lost at a kill: what two workers of two slots have, and what a broker was offered ahead for them.
IN_HAND = {"ventilator": 2, "durable-broker": 4, "broker": 16}
SECONDS_MOST = 120

COMMAND = """#!/bin/sh
echo "$1" >> begun
sleep 0.02
echo "$1" >> ended
"""


def job_roles(arguments, program, address, on_lost, folder):
    """Whoever has the job, and first of all its broker, if there is one."""
    job = ["--input", "tasks.txt", "--format", "lines", "--on-lost", on_lost]
    if arguments.by == "ventilator":
        return [Role("ventilator", program("ventilator", "--bind", address, *job), folder),
                Role("sink", program("sink", "--connect", address, "--output", "out.jsonl"), folder)]
    durable = ["--durable", "state"] if arguments.by == "durable-broker" else []
    return [Role("broker", program("broker", "--bind", address, *durable), folder),
            Survivor("map", [os.path.join(arguments.bin, "ventile"), "map", "--connect", address, "--function", "exec",
                             *job], folder)]


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

    roles = job_roles(arguments, program, address, on_lost, folder)
    workers = [Role(f"worker-{n}", program("worker", "--connect", address, "-j", "2", "--exec", f"{command} {{}}"), folder)
               for n in range(2)]
    begun = os.path.join(folder, "begun")
    deadline = time.monotonic() + SECONDS_MOST
    kills = 0
    jobs = [role for role in roles if role.name != "broker"]
    while not all(role.ended() for role in jobs) and time.monotonic() < deadline:
        time.sleep(random.uniform(0.1, 0.4))
        if kills < KILLS and os.path.exists(begun) and not jobs[0].ended():
            victims = workers if arguments.by == "ventilator" or kills % 4 != 2 else roles[:1]
            random.choice(victims).kill()
            kills += 1
    ended = [role.process.poll() for role in jobs]
    for role in [*roles, *workers]:
        if role.process.poll() is None:
            role.process.kill()
            role.process.wait()
    return folder, jobs[0], kills, ended


def marks(folder, name):
    with open(os.path.join(folder, name)) as lines:
        return collections.Counter(int(line) for line in lines)


def check(folder, by, on_lost, kills, ended, said):
    wrong = []
    if ended[0] != (1 if on_lost == "fail" else 0) or any(ended[1:]):
        wrong.append(f"whoever had the job ended with {ended}")
    with open(os.path.join(folder, "out.jsonl")) as lines:
        results = [json.loads(line) for line in lines]
    of_tasks = [(result["task"] + n, result["outcome"]) for result in results for n in range(result.get("tasks", 1))]
    outcomes = dict(of_tasks)
    if len(of_tasks) != TASKS or len(outcomes) != TASKS:
        wrong.append(f"{len(of_tasks)} outcomes of {len(outcomes)} tasks; there are {TASKS}")
    begun, completed = marks(folder, "begun"), marks(folder, "ended")
    twice = [task for task, times in begun.items() if times > 1]
    lost = [task for task, outcome in outcomes.items() if outcome == "lost"]
    print(f"{by}, --on-lost {on_lost}: {kills} processes killed, {len(lost)} tasks lost, {len(twice)} commands begun twice")
    if by == "ventilator" and on_lost == "rerun" and "begun again (--on-lost rerun)" not in said:
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
        if len(lost) > IN_HAND[by] * kills:
            wrong.append(f"{len(lost)} tasks are lost; no more than {IN_HAND[by] * kills} were in hand at {kills} kills")
    elif lost or not twice:
        wrong.append(f"{len(lost)} tasks are lost and {len(twice)} ran twice: nothing was tested")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--by", choices=("ventilator", "broker", "durable-broker"), default="ventilator")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(arguments.bin)
    random.seed(arguments.seed)
    for on_lost in ("fail", "rerun"):
        folder, owner, kills, ended = run_job(arguments, on_lost)
        wrong = check(folder, arguments.by, on_lost, kills, ended, owner.text())
        if wrong:
            print(*wrong[:20], sep="\n")
            print(f"--- the last of the {owner.name}", *owner.text().splitlines()[-15:], sep="\n")
            print(f"all of it is in {folder}")
            return 1
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
