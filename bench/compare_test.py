#!/usr/bin/env python3
"""bench/compare runs the job on Ventile in threads and in processes, and on two peers that are everywhere.

usage: compare_test.py BUILD
"""
import json
import subprocess
import sys
from pathlib import Path

COMPARE = Path(__file__).resolve().parent / "compare"


def measured(build, only):
    done = subprocess.run([COMPARE, "--build", build, "--quick", "--rates-only", "--json", "--only", only],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{only}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)["peers"]


def main():
    build = sys.argv[1]
    peers = {}
    for only in ("Ventile, ", "raw libzmq", "chunksize 1000", "xargs"):
        peers.update(measured(build, only))
    if len(peers) != 5:
        sys.exit(f"five peers were expected: {sorted(peers)}")
    for name, figures in peers.items():
        if not figures["tasks_per_second"] > 0:
            sys.exit(f"{name}: {figures}")
    done = subprocess.run([COMPARE, "--only", "nobody has this name"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        sys.exit("a comparison of nothing succeeded")


if __name__ == "__main__":
    main()
