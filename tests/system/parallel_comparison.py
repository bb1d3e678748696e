#!/usr/bin/env python3
"""Runs the same command lines through GNU Parallel and through `ventile run`, and compares what comes out.

usage: parallel_comparison.py BIN
BIN is the folder with the program `ventile`. Compared are standard output (byte for byte; as lines where a case says
that its order is free), the exit status (GNU Parallel's number of failed tasks is 1 here, its usage error 2) and, where
a case asks for it, the columns Seq, Send, Receive, Exitval, Signal and Command of the job log, by Seq.
Ends with 77 if GNU Parallel is not installed.
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ANY_ORDER, LOG = "any order", "log"

FILES = {
    "abc": "a\nb\nc\n",
    "numbers": "".join(f"{i}\n" for i in range(1, 21)),
    "table.tsv": "one\t1\ntwo\t2\n",
    "table.csv": "name,size\nx,10\ny,20\n",
    "blanks": "a b\n  c  \n\n\td\n",
    "nul": "a b\0c\nd\0",
    "no-end": "a\nb",
    "quotes": "it's\n\"x\"\n\\y\n$HOME\n`id`\n;ls\n*\n&\n(\n~\n#\n!\n",
    "empty": "",
    "records": "aXXbXXcXXd",
    "fasta": ">1\nAC\n>2\nGT\n>3\nTT\n",
}


class Case:
    def __init__(self, line, *flags, stdin=None, code=None):
        self.line, self.flags, self.stdin, self.code = line, flags, stdin, code


# Words are separated by blanks; ␣ is a blank within one.
CASES = [
    # Replacements.
    Case("-k echo ::: a b c"),
    Case("-k echo {} ::: a b c"),
    Case("-k echo x{}y{} ::: a b"),
    Case("-k echo {.} ::: a.b a.b.c a .b /x.y/z /x.y/z.w"),
    Case("-k echo {/} ::: a.b /x/y/z.w x/"),
    Case("-k echo {//} ::: a.b /x/y/z.w /x x/y"),
    Case("-k echo {/.} ::: a.b /x/y/z.w.v /x.y/z"),
    Case("-k echo {#} {} ::: a b c"),
    Case("-k echo {#} ::: a b c"),
    Case("-k -j1 echo {%} {} ::: a b c"),
    Case("-k echo {1} {2} ::: a b ::: c d"),
    Case("-k echo {2}-{1} ::: a b ::: c d"),
    Case("-k echo {-1} {-2} ::: a b ::: c d"),
    Case("-k echo {1.} {2/} {2//} {2/.} ::: a.b ::: /x/y.z q"),
    Case("-k echo {3} {1} ::: a b ::: c d"),
    Case("-k echo {} ::: a b ::: c d ::: e f"),
    Case("-k echo {.} ::: a.x b.y ::: c.z"),
    Case("-k -I @ echo @ {} ::: a b"),
    Case("-k -I,, echo ,, ::: a b"),
    Case("-k echo {x} {} ::: a"),
    # Sources.
    Case("-k echo", stdin="abc"),
    Case("-k echo", stdin="no-end"),
    Case("-k echo", stdin="empty"),
    Case("-k echo [{}]", stdin="blanks"),
    Case("-k -r echo [{}]", stdin="blanks"),
    Case("-k echo :::: abc"),
    Case("-k -a abc echo"),
    Case("-k -a abc -a numbers echo"),
    Case("-k echo :::: abc numbers"),
    Case("-k echo ::: x y :::: abc"),
    Case("-k echo :::: abc - ", stdin="no-end"),
    Case("-k echo ::: a b c :::+ x y z"),
    Case("-k echo ::: a b c :::+ x y"),
    Case("-k echo ::: a b ::: 1 2 :::+ x y"),
    Case("-k echo :::: abc ::::+ numbers"),
    Case("-k --link echo ::: a b ::: c d"),
    Case("-k -0 printf [%s] {}", stdin="nul"),
    Case("-k -d , echo {} ::: a"),
    Case("-k -d X echo {}", stdin="records"),
    Case("-k -d \\t echo {}", stdin="table.tsv"),
    Case("-k --colsep , echo {2} {1} ::: a,b c,d"),
    Case("-k --colsep \\t echo {2} {1}", stdin="table.tsv"),
    Case("-k -C [,;] echo {2} {1} ::: a,b c;d"),
    Case("-k --colsep , echo {} ::: a,b c"),
    Case("-k --colsep , echo [{1}][{2}] ::: a,␣b␣ ␣c"),
    Case("-k --header : --colsep , echo {name}={size}", stdin="table.csv"),
    Case("-k --header : echo {A}{B} ::: A 1 2 ::: B x y"),
    Case("-k --trim lr echo [{}]", stdin="blanks"),
    Case("-k --trim n --colsep , echo [{1}] ::: ␣a␣,b"),
    Case("-k -n2 echo {1}-{2} ::: a b c d"),
    Case("-k -n2 echo {1}-{2} ::: a b c"),
    Case("-k -N3 echo {3}{2}{1}", stdin="abc"),
    Case("-k -n 4 echo", stdin="numbers"),
    Case("-k -n2 echo x{}y ::: a b c"),
    Case("-k printf [%s] {} ::: a␣␣b c␣"),
    Case("-k printf [%s] {}", stdin="quotes"),
    Case("-k -q printf [%s] {} ::: a␣␣b"),
    # Slots and order.
    Case("-j2 echo ::: a b c d e f", ANY_ORDER),
    Case("-j0 -k echo ::: a b c"),
    Case("-j50% -k echo ::: a b c"),
    Case("-j+1 -k echo ::: a b c"),
    Case("-kj4 sleep ::: 0.02 0.01"),
    Case("-P2 -k echo ::: a b"),
    Case("--jobs=2 --keep-order echo ::: a b"),
    # Failures, exit status, log.
    Case("-j1 --joblog LOG true ::: a b c", LOG),
    Case("-j1 --joblog LOG false ::: a b c", LOG),
    Case("-j1 --joblog LOG -k echo {} ::: a b␣c", LOG),
    Case("-j1 --joblog LOG -k seq ::: 1 5 10", LOG),
    Case("-j1 --joblog LOG -k expr 1 / {} ::: 0 1", LOG),
    Case("-j1 --joblog LOG sleep {} ::: x 0", LOG),
    Case("-j1 --joblog LOG no-such-program-anywhere ::: a", LOG),
    Case("-j1 --joblog LOG --retries 3 false ::: a", LOG),
    Case("-j1 --joblog LOG --timeout 0.3 sleep ::: 5 0", LOG),
    Case("-j1 --joblog LOG ./dies ::: a", LOG),
    Case("-j1 --halt now,fail=1 -k expr 1 + ::: 1 x 2", code=5),
    Case("-j1 --halt soon,fail=1 -k expr 1 + ::: 1 x 2 3", code=5),
    Case("-j1 --halt never -k expr 1 + ::: 1 x 2"),
    Case("-j1 --halt 2 -k expr 1 + ::: 1 x 2", code=5),
    # Output.
    Case("-k --tag echo ::: a b"),
    Case("-k --tag echo ::: a b ::: c"),
    Case("-k --tagstring {}: echo ::: a b"),
    Case("-k --tagstring {#}-{1} seq ::: 2 1"),
    Case("--line-buffer -j1 seq ::: 2 3"),
    Case("-u -j1 seq ::: 2 3"),
    Case("-k --dry-run echo {} ::: a b"),
    Case("-k --dry-run echo {} ::: it's a␣b a;b $x"),
    Case("-k --dry-run rm -f {.} {/} ::: /a/b.c"),
    Case("--wd / pwd -P {#} ::: a", ANY_ORDER),
    # Blocks.
    Case("-k --pipe cat", stdin="numbers"),
    Case("-k --pipe -N3 wc -l", stdin="numbers"),
    Case("-k --pipe --block 10 wc -c", stdin="numbers"),
    Case("-k --pipe --recend XX -N1 wc -c", stdin="records"),
    Case("-k --pipe --recstart > --recend \\n -N1 wc -l", stdin="fasta"),
    Case("-k --pipe cat", stdin="empty"),
    # Refused by both.
    Case("--no-such-option echo ::: a", code=2),
    Case("-k echo :::: no-such-file", code=2),
]


def run(program, case, folder):
    words = [word.replace("␣", " ") for word in case.line.split()]
    log = folder / "log"
    log.unlink(missing_ok=True)
    words = ["log" if word == "LOG" else word for word in words]
    stdin = (folder / case.stdin).open("rb") if case.stdin else subprocess.DEVNULL
    done = subprocess.run(program + words, stdin=stdin, capture_output=True, cwd=folder, timeout=60)
    output = done.stdout
    if ANY_ORDER in case.flags:
        output = b"".join(sorted(output.splitlines(True)))
    rows = []
    if log.exists():
        rows = [line.split("\t") for line in log.read_text(errors="surrogateescape").splitlines()]
        rows[1:] = sorted(rows[1:])  # Tasks that end at the same moment may change places.
        rows = [[row[column] for column in (0, 4, 5, 6, 7, 8)] for row in rows]
    return done.returncode, output, rows, done.stderr


def expected_code(case, theirs):
    if case.code is not None:
        return case.code
    return 0 if theirs == 0 else 1 if theirs <= 101 else 2


def compare(case, ventile, folder):
    """What differs, or nothing."""
    their_code, their_output, their_rows, _ = run(["parallel", "--will-cite"], case, folder)
    code, output, rows, errors = run([ventile, "run"], case, folder)
    complaints = []
    if code != expected_code(case, their_code):
        complaints.append(f"exit status {code}, GNU Parallel's is {their_code}: {errors.decode(errors='replace')}")
    if code != 2 and output != their_output:
        complaints.append(f"output {output!r}\n  GNU Parallel's {their_output!r}")
    if rows != their_rows:
        complaints.append(f"log {rows}\n  GNU Parallel's {their_rows}")
    return complaints


def main():
    if shutil.which("parallel") is None:
        print("skipped: GNU Parallel is not installed, so there is nothing to compare with")
        return 77
    ventile = str(Path(sys.argv[1]).resolve() / "ventile")
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).write_text(text)
        (folder / "dies").write_text("#!/bin/sh\nkill -9 $$\n")
        (folder / "dies").chmod(0o755)
        for case in CASES:
            complaints = compare(case, ventile, folder)
            failed += bool(complaints)
            for complaint in complaints:
                print(f"{case.line}\n  {complaint}")
    print(f"{len(CASES)} command lines, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
