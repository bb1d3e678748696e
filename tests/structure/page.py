#!/usr/bin/env python3
"""Holds a page such as README.md to its word: runs its commands, compares their output and the sources it quotes.

usage: page.py PAGE --root TREE --bin FOLDER
A comment on the line before a fenced block says what is done with it; CONTRIBUTING.md explains them to authors.

  <!-- run -->               the block is run by bash; all blocks of a page share one temporary folder, in order
  <!-- run: exit N -->       the same, and it must end with this code
  <!-- output -->            what the block run before it printed, `…` standing for anything
  <!-- file: PATH -->        the block is a run of whole lines of that file
  <!-- not run: REASON -->   the block stays unchecked; a `sh` or `cpp` block needs one of these comments
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

SECONDS_FOR_A_BLOCK = 120

Block = namedtuple("Block", "line language mark text")


def blocks_of(page_text):
    """The fenced blocks of a page, each with the comment on the line before it ('' if there is none)."""
    lines = page_text.splitlines()
    number = 0
    while number < len(lines):
        fence = re.match(r"(`{3,})(\w*)\s*$", lines[number])
        if not fence:
            number += 1
            continue
        end = next((at for at in range(number + 1, len(lines)) if lines[at].rstrip() == fence[1]), len(lines))
        comment = re.fullmatch(r"<!--\s*(.*?)\s*-->", lines[number - 1].strip()) if number else None
        yield Block(number + 1, fence[2], comment[1] if comment else "", "\n".join(lines[number + 1:end]) + "\n")
        number = end + 1


def matches(expected, printed):
    """Whether the output is as the page shows it: `…` is any text within a line, a line of `…` any lines at all."""
    pattern = ""
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n"
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


def prepare(folder, root):
    """Makes the temporary folder look like the tree, so that a command which names a file of it works."""
    for entry in root.iterdir():
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)


def run(text, folder, programs):
    """Exit code and output of one block. Whatever it leaves running ends with it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VENTILE_")}
    environment |= {"PATH": f"{programs}:{environment['PATH']}", "HOME": str(folder), "NO_COLOR": "1"}
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        shell = subprocess.Popen(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment,
                                 stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                 start_new_session=True)
        try:
            code = shell.wait(SECONDS_FOR_A_BLOCK)
        except subprocess.TimeoutExpired:
            code = f"none within {SECONDS_FOR_A_BLOCK} s"
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()
        output.seek(0)
        return code, output.read()


def quoted(text, source):
    return ("\n" + text) in ("\n" + source)


def indented(text):
    return "".join(f"    {line}\n" for line in text.splitlines())


def check(page, root, programs):
    """All that the page gets wrong, as lines of text."""
    wrong = []
    checked = 0
    printed = None
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), root)
        for block in blocks_of(page.read_text()):
            where = f"{page.name}:{block.line}"
            if to_run := re.fullmatch(r"run(?:: exit (\d+))?", block.mark):
                code, printed = run(block.text, Path(folder), programs)
                if code != int(to_run[1] or 0):
                    wrong.append(f"{where}: exit code {code}, expected {to_run[1] or 0}; it printed\n{indented(printed)}")
            elif block.mark == "output":
                if printed is None:
                    wrong.append(f"{where}: shows an output, but no block was run before it")
                elif not matches(block.text, printed):
                    wrong.append(f"{where}: expected\n{indented(block.text)}  but it printed\n{indented(printed)}")
            elif block.mark.startswith("file: "):
                source = root / block.mark.removeprefix("file: ")
                if not source.is_file():
                    wrong.append(f"{where}: there is no file {source.relative_to(root)}")
                elif not quoted(block.text, source.read_text()):
                    wrong.append(f"{where}: these are not lines of {source.relative_to(root)}")
            else:
                if block.language in {"sh", "cpp"} and not block.mark.startswith("not run: "):
                    wrong.append(f"{where}: say before this block what to do with it: run, file or not run")
                continue
            checked += 1
    return wrong or ([] if checked else [f"{page.name}: no block to check"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--bin", type=Path, required=True)
    options = parser.parse_args()
    wrong = check(options.page, options.root.resolve(), options.bin.resolve())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
