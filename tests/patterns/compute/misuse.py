#!/usr/bin/env python3
"""Wrong uses of the pool do not compile, and the compiler says why in words a person can read.

usage: misuse.py COMPILER misuse.cpp INCLUDE…
"""
import re
import subprocess
import sys


def compile_case(compiler, source, includes, case):
    command = [compiler, "-std=c++20", "-fsyntax-only", f"-DCASE={case}", '-DVENTILE_VERSION="test"',
               *(f"-I{folder}" for folder in includes), source]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(compiler, source, *includes):
    cases = [(0, None)]
    for line in open(source, encoding="utf-8"):
        if found := re.match(r"#elif CASE == (\d+)  // says: (.*)", line):
            cases.append((int(found[1]), found[2]))
    wrong = 0
    for case, expected in cases:
        result = compile_case(compiler, source, includes, case)
        if expected is None:
            good = result.returncode == 0
        else:
            good = result.returncode != 0 and "Ventile" in result.stderr and expected in result.stderr
        if not good:
            wrong += 1
            print(f"case {case}: expected {expected or 'no error'}, got:\n{result.stderr[:2000]}")
    print(f"{len(cases) - wrong} passed, {wrong} failed")
    return 1 if wrong or len(cases) < 2 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
