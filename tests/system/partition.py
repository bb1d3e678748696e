#!/usr/bin/env python3
"""Cuts the network between the roles of a running job, in every way, and checks what is left with a plain count.

usage: partition.py --bin DIR --plugin FILE (--proxy | --namespaces) [--brief] [--seed S]

A ventilator, three workers and a sink over tcp, none durable: nobody dies, so nothing may be lost. The input goes on
until all faults are over. With --proxy a fault proxy stands before the ventilator and before the sink (delay, rate,
reset, half-open, one-way, flapping). With --namespaces every role has a host of its own behind one switch, and workers
and sink are unplugged and plugged in again (cut off, one-way, flapping); that takes root, and is skipped without.

It fails if a result is missing, wrong or there twice, or if a fault had no effect that was meant to have one. What the
throughput was before, during and after each fault is printed and not judged.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from fault_proxy import FaultProxy
from kill_storm import Role, free_port, number_of

SKIPPED = 77
WORKERS = 3
PEACE = 3.0      # Seconds before each fault,
RECOVERY = 5.0   # and after it. With --brief:
BRIEF = 1.0
AHEAD = 10_000   # Tasks.
FINISH_MOST = 120


class Input:
    """Numbers for the ventilator, a few seconds' worth ahead of the results, until somebody says that it is enough."""

    def __init__(self, path, results):
        self.results = results
        self.count = 0
        self.enough = False
        self.pipe = path
        os.mkfifo(path)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with open(self.pipe, "w") as out:
            while not self.enough:
                if self.count > self.results() + AHEAD:
                    time.sleep(0.05)
                    continue
                out.writelines(f"{number_of(n)}\n" for n in range(self.count, self.count + 100))
                out.flush()
                self.count += 100


class Fabric:
    def __init__(self, arguments, folder, addresses, hosts):
        """`addresses`: what the ventilator and the sink bind, and what others connect to. `hosts`: command prefixes."""
        self.folder = folder
        self.counted = self.position = 0
        self.lock = threading.Lock()
        self.input = Input(os.path.join(folder, "tasks.fifo"), self.results)

        def role(name, program, *rest):
            command = [*hosts.get(name, []), os.path.join(arguments.bin, "ventile-" + program), *rest]
            return Role(name, command, folder)

        open_to_all = ["--insecure"] if hosts else []
        self.roles = {
            "ventilator": role("ventilator", "ventilator", "--bind", addresses["bind"], *open_to_all, "--input",
                               "tasks.fifo", "--function", "square_slowly", "--json"),
            "sink": role("sink", "sink", "--connect", addresses["connect"], *addresses["results"], *open_to_all,
                         "--output", "out.jsonl"),
        }
        for n in range(WORKERS):
            self.roles[f"worker-{n}"] = role(f"worker-{n}", "worker", "--connect", addresses["connect"], "-j", "1",
                                             *open_to_all, "--plugin", arguments.plugin, "--credit-tasks", "200")

    def results(self):
        with self.lock:
            try:
                with open(os.path.join(self.folder, "out.jsonl"), "rb") as out:
                    out.seek(self.position)
                    for chunk in iter(lambda: out.read(1 << 20), b""):
                        self.counted += chunk.count(b"\n")
                    self.position = out.tell()
            except FileNotFoundError:
                pass
            return self.counted

    def rate(self, seconds):
        before, started = self.results(), time.monotonic()
        time.sleep(seconds)
        return (self.results() - before) / (time.monotonic() - started)

    def wait_for_results(self):
        deadline = time.monotonic() + 60
        while self.results() == 0 and time.monotonic() < deadline:
            time.sleep(0.1)

    def stop(self):
        for role in self.roles.values():
            if role.process.poll() is None:
                role.process.kill()
                role.process.wait()


# --- Faults: (what, seconds, begin, repeat or None, end, whether results must stop) ------------------------------

def proxy_faults(dispatcher, results):
    both = (dispatcher, results)

    def change(proxies, **faults):
        def act():
            for proxy in proxies:
                for name, value in faults.items():
                    setattr(proxy, name, value)
        return act

    def heal():
        for proxy in both:
            proxy.heal()

    def reset(*proxies):
        return lambda: [proxy.reset() for proxy in proxies]

    def heal_with_reset():
        heal()
        reset(*both)()

    return [
        ("everything 50 ms late", 3, change(both, delay=0.05), None, heal, False),
        ("100 kB/s", 3, change(both, rate=100_000), None, heal, False),
        ("every connection reset", 1, reset(*both), None, heal, False),
        ("connections reset every 0.3 s", 4, reset(*both), reset(*both), heal, False),
        ("results half-open, healed", 4, change([results], silent_to_client=True, silent_to_server=True), None, heal,
         True),
        ("the sink hears nothing, then reset", 4, change([results], silent_to_server=True), None, heal_with_reset, True),
        ("the ventilator half-open, then reset", 6, change([dispatcher], silent_to_client=True, silent_to_server=True),
         None, heal_with_reset, True),
        ("the ventilator hears nothing", 6, change([dispatcher], silent_to_server=True), None, heal, True),
        ("the ventilator is not heard", 6, change([dispatcher], silent_to_client=True), None, heal, True),
        ("nobody can connect", 4, lambda: (change(both, refusing=True)(), reset(*both)()), None, heal, True),
    ]


class Hosts:
    """A network namespace for each role, and one for the bridge between them, where no firewall of this machine is."""

    def __init__(self):
        self.tag = f"vp{os.getpid() % 10000}"
        self.hub, self.bridge = self.tag + "-hub", "bridge"
        self.names = ["ventilator", "sink"] + [f"worker-{n}" for n in range(WORKERS)]
        self.made = []

    def ip(self, *words):
        subprocess.run(["ip", *words], check=True, stderr=subprocess.PIPE, text=True)

    def at_hub(self, *words):
        self.ip("-n", self.hub, "link", *words)

    def start(self):
        self.ip("netns", "add", self.hub)
        self.made.append(self.hub)
        self.at_hub("add", self.bridge, "type", "bridge")
        self.at_hub("set", self.bridge, "up")
        for name in self.names:
            space, outer = self.space(name), self.port(name)
            self.ip("netns", "add", space)
            self.made.append(space)
            self.at_hub("add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
            self.at_hub("set", outer, "master", self.bridge, "up")
            self.ip("-n", space, "addr", "add", self.address(name) + "/24", "dev", "eth0")
            self.ip("-n", space, "link", "set", "eth0", "up")
            self.ip("-n", space, "link", "set", "lo", "up")

    def stop(self):
        for name in self.names:  # A namespace that has connections left keeps its own for a while.
            subprocess.run(["ip", "-n", self.hub, "link", "del", self.port(name)], stderr=subprocess.DEVNULL)
        for space in self.made:
            subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL)

    def space(self, name):
        return f"{self.tag}-{self.names.index(name)}"

    def port(self, name):
        return f"{self.tag}p{self.names.index(name)}"

    def address(self, name):
        return f"10.213.7.{self.names.index(name) + 1}"

    def prefix(self, name):
        return ["ip", "netns", "exec", self.space(name)]

    def unplug(self, *names):
        return lambda: [self.at_hub("set", self.port(name), "nomaster") for name in names]

    def plug_in(self, *names):
        return lambda: [self.at_hub("set", self.port(name), "master", self.bridge) for name in names]

    def mute(self, name, other):
        """What `name` says does not leave for `other`; what comes is heard."""
        return lambda: self.ip("-n", self.space(name), "route", "replace", "blackhole", self.address(other) + "/32")

    def unmute(self, name, other):
        return lambda: self.ip("-n", self.space(name), "route", "del", "blackhole", self.address(other) + "/32")


def namespace_faults(hosts):
    workers = [f"worker-{n}" for n in range(WORKERS)]
    flaps = iter(range(10**6))

    def flap():
        (hosts.plug_in if next(flaps) % 2 else hosts.unplug)("worker-0", "sink")()

    return [
        ("one worker cut off", 6, hosts.unplug("worker-0"), None, hosts.plug_in("worker-0"), False),
        ("every worker cut off", 6, hosts.unplug(*workers), None, hosts.plug_in(*workers), True),
        ("the sink cut off", 6, hosts.unplug("sink"), None, hosts.plug_in("sink"), True),
        ("the ventilator cut off", 6, hosts.unplug("ventilator"), None, hosts.plug_in("ventilator"), True),
        ("a worker hears and is not heard by the ventilator", 6, hosts.mute("worker-1", "ventilator"), None,
         hosts.unmute("worker-1", "ventilator"), False),
        ("the sink does not hear a worker", 6, hosts.mute("worker-2", "sink"), None, hosts.unmute("worker-2", "sink"),
         False),
        ("the sink is not heard by the ventilator", 6, hosts.mute("sink", "ventilator"), None,
         hosts.unmute("sink", "ventilator"), False),
        ("a worker and the sink flap", 5, flap, flap, hosts.plug_in("worker-0", "sink"), False),
    ]


# --- The run -----------------------------------------------------------------------------------------------------

def suffer(fabric, faults, peace, recovery):
    """Each fault in turn. Returns what is wrong."""
    wrong = []
    for what, seconds, begin, repeat, end, stops in faults:
        before = fabric.rate(peace)
        begin()
        deadline = time.monotonic() + seconds
        started, at = time.monotonic(), fabric.results()
        while repeat is not None and time.monotonic() < deadline:
            time.sleep(random.uniform(0.1, 0.5))
            repeat()
        time.sleep(max(0.0, deadline - time.monotonic() - 1))
        last = fabric.rate(1)
        meanwhile = (fabric.results() - at) / (time.monotonic() - started)
        end()
        rates = [fabric.rate(1) for _ in range(int(recovery))]
        back = next((f"{n + 1} s" for n, rate in enumerate(rates) if rate >= 0.95 * before), f"more than {recovery:.0f} s")
        print(f"{what}: {before:.0f} results/s before, {meanwhile:.0f} during, {rates[-1]:.0f} after; "
              f"back to 95 % within {back}", flush=True)
        if stops and last > 0.5 * before:
            wrong.append(f"{what}: that changed nothing, so nothing was tested")
    return wrong


def check(fabric, ended):
    wrong = []
    if ended != [0, 0]:
        wrong.append(f"ventilator and sink ended with {ended}")
    tasks = fabric.input.count
    seen = bytearray(tasks)
    with open(os.path.join(fabric.folder, "out.jsonl")) as out:
        for line in out:
            result = json.loads(line)
            number = result["task"]
            if seen[number]:
                wrong.append(f"task {number} is there twice")
            seen[number] = 1
            if result["outcome"] != "done" or result["value"] != number_of(number) ** 2:
                wrong.append(f"task {number} is wrong: {line.strip()}")
    if missing := tasks - sum(seen):
        wrong.append(f"{missing} of {tasks} results are missing")
    return wrong


def run(arguments, addresses, hosts, faults):
    folder = tempfile.mkdtemp(prefix="partition-")
    fabric = Fabric(arguments, folder, addresses, hosts)
    try:
        fabric.wait_for_results()
        wrong = suffer(fabric, faults, *((BRIEF, 2 * BRIEF) if arguments.brief else (PEACE, RECOVERY)))
        fabric.input.enough = True
        deadline = time.monotonic() + FINISH_MOST
        ends = [fabric.roles["ventilator"], fabric.roles["sink"]]
        while not all(role.ended() for role in ends) and time.monotonic() < deadline:
            time.sleep(0.2)
        ended = [role.process.poll() for role in ends]
    finally:
        fabric.stop()
    wrong += check(fabric, ended)
    if not wrong:
        print(f"{fabric.input.count} tasks, {len(faults)} faults: 0 lost, 0 twice")
        shutil.rmtree(folder)
        return 0
    print(*wrong[:20], sep="\n")
    for role in fabric.roles.values():
        print(f"--- the last of {role.name}", *role.text().splitlines()[-15:], sep="\n")
    print(f"all of it is in {folder}")
    return 1


def run_behind_proxies(arguments):
    ventilator, sink = free_port(), free_port()
    dispatcher, results = FaultProxy(ventilator), FaultProxy(sink)
    addresses = {"bind": f"tcp://127.0.0.1:{ventilator}", "connect": dispatcher.address(),
                 "results": ["--bind", f"tcp://127.0.0.1:{sink}", "--advertise", results.address()]}
    return run(arguments, addresses, {}, proxy_faults(dispatcher, results))


def run_in_namespaces(arguments):
    hosts = Hosts()
    try:
        hosts.start()
    except (OSError, subprocess.CalledProcessError) as error:
        hosts.stop()
        print(f"skipped: runs as root on a machine with network namespaces and iproute2; not here: {getattr(error, 'stderr', None) or error}".strip())
        return SKIPPED
    try:
        addresses = {"bind": f"tcp://{hosts.address('ventilator')}:5570",
                     "connect": f"tcp://{hosts.address('ventilator')}:5570",
                     "results": ["--bind", f"tcp://{hosts.address('sink')}:5571"]}
        return run(arguments, addresses, {name: hosts.prefix(name) for name in hosts.names}, namespace_faults(hosts))
    finally:
        hosts.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--proxy", action="store_true")
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(arguments.bin)
    arguments.plugin = os.path.abspath(arguments.plugin)
    random.seed(arguments.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that nothing is left of the hosts.
    if arguments.namespaces:
        return run_in_namespaces(arguments)
    return run_behind_proxies(arguments)


if __name__ == "__main__":
    sys.exit(main())
