#!/usr/bin/env python3
"""Checks who includes whom: the table of CONTRIBUTING.md, in every file below core, patterns and nodes.

usage: include_table.py [TREE]
Prints one line per breach, `file:line: what and why`, and fails if there is one or if there is nothing to check.
"""
import re
import sys
from collections import namedtuple
from pathlib import Path

CORE = {"base", "wire", "net", "keys", "journal", "metrics", "task", "isolation"}

# What a folder may include beside itself and the standard library.
MAY_INCLUDE = {
    "base": set(),
    "wire": {"base"},
    "net": {"base", "wire"},
    "keys": {"base", "net"},
    "journal": {"base"},
    "metrics": {"base"},
    "task": {"base", "wire"},
    "isolation": {"base", "wire", "task"},
    "queue": CORE,
    "pipeline": CORE | {"queue"},
    "compute": CORE | {"queue"},
    "broadcast": CORE,
    "ventile": CORE | {"queue", "pipeline", "compute", "broadcast"},
    "nodes": CORE | {"queue", "pipeline", "compute", "broadcast"},
}

# The libraries that the sources of a folder may include. Headers of core and patterns are public and include none.
SOURCES_MAY_INCLUDE = {
    "wire": {"msgpack", "nlohmann"},
    "net": {"zmq", "sodium"},
    "keys": {"sodium"},
    "metrics": {"prometheus"},
}

# Public headers that may include a library: whoever includes them wants it.
HEADERS_MAY_INCLUDE = {"ventile/wire/msgpack_define": {"msgpack"}}

# The parts that decide. Whatever else of their own pattern they include is held to the same rules.
DECIDERS = {
    "queue": ["dispatcher", "granularity", "liveness", "ledger", "backlog", "feed", "session", "outbox", "collector",
              "submission", "fetching", "client_jobs", "delivery", "greeting", "settling", "returning", "suspecting", "leasing",
              "balancing", "serving", "sharing", "keeping", "explaining", "function_sets"],
    "pipeline": ["resend"],
}
DECIDERS_MAY_INCLUDE = {"base", "wire"}
NO_DECIDER_INCLUDES = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "atomic", "semaphore",
                       "latch", "barrier", "stop_token", "fstream", "iostream", "filesystem", "cstdio", "ctime"}
NO_DECIDER_SAYS = [
    (re.compile(r"::now\s*\("), "reads a clock: time is an argument"),
    (re.compile(r"\brandom_device\b"), "draws without a seed: chance is an argument"),
]

STANDARD = re.compile(r"[a-z_0-9]+")
# The C library, the kernel and the compiler: nothing that one must install.
SYSTEM = re.compile(
    r"(sys|linux|netinet|arpa|net|asm)/[\w/.-]+\.h|"
    r"(unistd|fcntl|malloc|poll|signal|spawn|dlfcn|netdb|pthread|sched|errno|ifaddrs|grp|pwd|termios|ucontext|execinfo|"
    r"link|elf|endian|cxxabi|cpuid|nmmintrin|immintrin|arm_acle|arm_neon)\.h")
INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')
BEFORE_COMMENT = re.compile(r'(?:[^"/]|"(?:\\.|[^"\\])*"|/(?!/))*')

# One include line. `folder` is ours, as in MAY_INCLUDE, or None; `library` is a stranger's, or None; both None: the
# standard library or the system. `stem` is the path within the include root, without its ending, if it is ours.
Include = namedtuple("Include", "line name folder stem library")


class File:
    def __init__(self, tree, path):
        self.path = path.relative_to(tree)
        self.folder, self.stem = place(self.path)
        self.lines = [BEFORE_COMMENT.match(line)[0] for line in path.read_text().splitlines()]
        self.includes = [include_of(self, tree, number, found[1], found[2])
                         for number, line in enumerate(self.lines, 1) if (found := INCLUDE.match(line))]


def place(path):
    """The folder and the stem of a path below the tree, such as core/ventile/base/range.hpp or nodes/options.hpp."""
    within = path.parts[1:] if path.parts[0] in {"core", "patterns"} else path.parts
    folder = within[1] if within[0] == "ventile" and len(within) > 2 else within[0]
    return folder, str(Path(*within).with_suffix(""))


def include_of(file, tree, number, quote, name):
    beside = (tree / file.path.parent / name).resolve()
    if quote == '"' and beside.is_file() and beside.is_relative_to(tree):
        return Include(number, name, *place(beside.relative_to(tree)), None)
    if name.split("/")[0] in {"ventile", "nodes", "tests", "bench", "examples"}:
        return Include(number, name, *place(Path(name)), None)
    known = STANDARD.fullmatch(name) or SYSTEM.fullmatch(name)
    return Include(number, name, None, None, None if known else re.split(r"[/._]", name)[0])


def pure_files(files):
    """The deciders and everything of their own pattern that they include, directly or not."""
    stems = {f"ventile/{folder}/{name}" for folder, names in DECIDERS.items() for name in names}
    while True:
        pure = {file for file in files if file.stem in stems}
        more = {include.stem for file in pure for include in file.includes if include.folder == file.folder}
        if more <= stems:
            return pure
        stems |= more


def breach_of_decider(file, include):
    if include.folder not in DECIDERS_MAY_INCLUDE | {file.folder, None} or include.library:
        return f"a decider may include {', '.join(sorted(DECIDERS_MAY_INCLUDE))} only"
    if include.name in NO_DECIDER_INCLUDES or (not include.folder and SYSTEM.fullmatch(include.name)):
        return "a decider owns no thread, file or clock"
    return None


def breach_of_folder(file, include):
    folders = MAY_INCLUDE[file.folder]
    if include.folder and include.folder not in folders | {file.folder}:
        return f"{file.folder} may include {', '.join(sorted(folders)) or 'the standard library'} only"
    if include.library == "zmq" and file.folder != "net":
        return "zmq is known to core/ventile/net only"
    if not include.library or file.folder == "nodes":
        return None
    if file.path.suffix == ".hpp" and include.library in HEADERS_MAY_INCLUDE.get(file.stem, set()):
        return None
    if file.path.suffix == ".hpp":
        return "a public header includes no library"
    libraries = SOURCES_MAY_INCLUDE.get(file.folder, set())
    if include.library not in libraries:
        return f"the sources of {file.folder} may include {', '.join(sorted(libraries)) or 'no library'} only"
    return None


def breaches_of(file, is_pure):
    """Pairs of line number and what is wrong there."""
    for include in file.includes:
        wrong = breach_of_folder(file, include) or (is_pure and breach_of_decider(file, include))
        if wrong:
            yield include.line, f"<{include.name}>: {wrong}"
    if is_pure:
        for number, line in enumerate(file.lines, 1):
            for pattern, why in NO_DECIDER_SAYS:
                if pattern.search(line):
                    yield number, f"a decider {why}"


def breaches(tree):
    """All that is wrong in the tree, as lines of text."""
    tree = Path(tree).resolve()
    paths = sorted(path for root in ("core", "patterns", "nodes") for path in (tree / root).rglob("*.[ch]pp"))
    if not paths:
        return [f"{tree}: nothing to check below core, patterns and nodes"]
    files = [File(tree, path) for path in paths]
    pure = pure_files(files)
    found = []
    for file in files:
        if file.folder not in MAY_INCLUDE:
            found.append(f"{file.path}:1: the folder '{file.folder}' has no row in the table")
            continue
        found += [f"{file.path}:{line}: {what}" for line, what in breaches_of(file, file in pure)]
    return found


if __name__ == "__main__":
    lines = breaches(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2])
    print(*lines, sep="\n", end="\n" if lines else "")
    sys.exit(1 if lines else 0)
