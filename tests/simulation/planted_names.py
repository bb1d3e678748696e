#!/usr/bin/env python3
"""Checks that every planted mistake of the deciders is in the table, and none of them in what users run.

usage: planted_names.py TREE PROGRAM_OR_LIBRARY…
"""
import re
import sys
from pathlib import Path

tree, products = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
planted = {name for source in (tree / "patterns").rglob("*.[ch]pp")
           for name in re.findall(r'planted\("([^"]*)"\)', source.read_text())}
table = set(re.findall(r'\{"([^"]*)", *Setting::', (tree / "tests/simulation/planted_table.cpp").read_text()))
wrong = [f"planted, and not in planted_table.cpp: {name}" for name in sorted(planted - table)]
wrong += [f"in planted_table.cpp, and planted nowhere: {name}" for name in sorted(table - planted)]
for product in products:
    content = product.read_bytes()
    wrong += [f"{product} carries the mistake: {name}" for name in sorted(planted) if name.encode() in content]
if not planted or not products:
    wrong.append("there is nothing to check")
print(*wrong or [f"{len(planted)} planted mistakes, none of them in {len(products)} programs and libraries"], sep="\n")
sys.exit(bool(wrong))
