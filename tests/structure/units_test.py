#!/usr/bin/env python3
"""The units for systemd name our programs, and what they leave open is little.

usage: units_test.py TREE
Exit code 77: skipped, and why.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

EXPOSURE_MAX = 1.5  # Of 10, as `systemd-analyze security` counts.


def exposure(unit):
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", said.stdout)
    if not found:
        print(f"skipped: this systemd-analyze cannot look at a file: {said.stderr.strip()}")
        sys.exit(77)
    return float(found[1])


def main():
    units = sorted((Path(sys.argv[1]) / "nodes/systemd").glob("*.service"))
    wrong = []
    for unit in units:
        text = unit.read_text()
        role = unit.stem.removeprefix("ventile-")
        if f"\nExecStart=/usr/bin/ventile-{role} --keys " not in text:
            wrong.append(f"{unit.name} does not start its role with keys")
        if "\nUser=ventile\n" not in text or "\nLimitCORE=0\n" not in text:
            wrong.append(f"{unit.name} runs as somebody else, or leaves core files")
    if [unit.stem for unit in units] != ["ventile-broker", "ventile-sink", "ventile-worker"]:
        wrong.append("there is not one unit for each role that stays")
    if not wrong:
        if not shutil.which("systemd-analyze"):
            print("skipped: there is no systemd-analyze")
            sys.exit(77)
        wrong = [f"{unit.name}: exposure {level}, at most {EXPOSURE_MAX} is wanted"
                 for unit in units if (level := exposure(unit)) > EXPOSURE_MAX]
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
