#!/usr/bin/env python3
"""Installs what the build has made into a temporary folder and uses it as a stranger would.

usage: package_test.py TEST… --source TREE --build FOLDER
Each TEST is the name of a function below. Exit code 77: skipped, and why.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(fact, otherwise):
    if not fact:
        raise Failed(otherwise)


def run(*command, **options):
    """The command's standard output; what it says on both is shown if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, **options)
    check(done.returncode == 0, f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Package:
    """The build, and a temporary folder in which to do things with it."""

    def __init__(self, source, build, scratch):
        self.source, self.build, self.scratch = source, build, scratch
        self.consumer = source / "tests/package/consumer"
        self.cache = dict(re.findall(r"^(\w+):\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.MULTILINE))

    def install(self):
        prefix = self.scratch / "prefix"
        run("cmake", "--install", self.build, "--prefix", prefix)
        return prefix

    def libraries(self, prefix):
        return next(prefix.rglob("libventile-core.so")).parent

    def build_consumer(self, *options):
        """Configures and builds the stranger's project as this build was, and returns the folder with what it made."""
        folder = self.scratch / "consumer"
        same = [f"-D{name}={self.cache.get(name, '')}" for name in (
            "CMAKE_BUILD_TYPE", "CMAKE_CXX_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER", "CMAKE_CXX_FLAGS",
            "CMAKE_CXX_FLAGS_DEBUG", "CMAKE_CXX_FLAGS_RELWITHDEBINFO", "VENTILE_SANITIZE", "VENTILE_HARDEN",
            "VENTILE_WARNINGS_AS_ERRORS") if self.cache.get(name)]
        if self.cache.get("VENTILE_SANITIZE"):
            same += [f"-DCMAKE_EXE_LINKER_FLAGS=-fsanitize={self.cache['VENTILE_SANITIZE']}"]
        run("cmake", "-G", "Ninja", "-S", self.consumer, "-B", folder, "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF",
            *same, *options)
        run("cmake", "--build", folder, "--parallel", 2)
        return folder

    def needed(self, program):
        return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", "--wide", program))

    def check_runs(self, folder, ventile=None, **options):
        run(folder / "squares", **options)
        if ventile:
            tripled = run(ventile, "map", "--quiet", "--plugin", folder / "triple.so", "--function", "triple",
                          "--range", "5:6", **options)
            check('"value":15' in tripled, f"the plugin from outside said {tripled!r}")
            readings = self.scratch / "readings.jsonl"
            readings.write_text('["t1", 2.5]\n')
            tripled = run(ventile, "map", "--quiet", "--plugin", folder / "triple.so", "--function", "triple_reading",
                          "--input", readings, **options)
            check('"value":["t1",7.5]' in tripled, f"of a type with MSGPACK_DEFINE the plugin made {tripled!r}")


def an_installed_header_includes_only_installed_headers(package):
    include = package.install() / "include"
    headers = sorted(include.rglob("*.hpp"))
    check(len(headers) > 30, f"only {len(headers)} headers are installed below {include}")
    for header in headers:
        for name in re.findall(r'^\s*#\s*include\s*[<"](ventile/[^>"]+)', header.read_text(), re.MULTILINE):
            check((include / name).is_file(), f"{header.relative_to(include)} includes <{name}>, which is not installed")


def a_project_finds_the_installed_package(package):
    prefix = package.install()
    folder = package.build_consumer(f"-DCMAKE_PREFIX_PATH={prefix}")
    package.check_runs(folder, prefix / "bin/ventile")
    soname = re.search(r"\(SONAME\).*\[(.*)\]", run("readelf", "--dynamic", "--wide",
                                                    package.libraries(prefix) / "libventile-core.so"))[1]
    major = run(prefix / "bin/ventile", "version").split()[1].split(".")[0]
    check(soname == f"libventile-core.so.{major}", f"SONAME is {soname}, the version's major number {major}")
    check(soname in package.needed(folder / "triple.so"), f"the plugin does not need {soname}")


def a_project_links_the_static_libraries(package):
    folder = package.build_consumer(f"-DCMAKE_PREFIX_PATH={package.install()}", "-DVENTILE_KIND=static")
    package.check_runs(folder)
    ours = [name for name in package.needed(folder / "squares") if "ventile" in name]
    check(not ours, f"linked with the static libraries, the program needs {ours}")


def a_project_builds_with_pkg_config(package):
    prefix = package.install()
    libraries = package.libraries(prefix)
    environment = os.environ | {"PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "LD_LIBRARY_PATH": str(libraries)}
    flags = run("pkg-config", "--cflags", "--libs", "ventile", env=environment).split()
    sanitize = [f"-fsanitize={package.cache['VENTILE_SANITIZE']}"] if package.cache.get("VENTILE_SANITIZE") else []
    compiler = package.cache["CMAKE_CXX_COMPILER"] if sanitize else "c++"  # Sanitizers of two compilers do not mix.
    run(compiler, "-std=c++20", *sanitize, package.consumer / "squares.cpp", "-o", package.scratch / "squares", *flags)
    run(compiler, "-std=c++20", *sanitize, "-shared", "-fPIC", package.consumer / "triple.cpp",
        "-o", package.scratch / "triple.so", *flags)
    package.check_runs(package.scratch, prefix / "bin/ventile", env=environment)


def a_project_has_ventile_as_a_part_of_itself(package):
    folder = package.build_consumer(f"-DVENTILE_TREE={package.source}")
    package.check_runs(folder)
    extra = [name for name in ("ventile-worker", "base_test", "VentileConfig.cmake") if list(folder.rglob(name))]
    check(not extra, f"a project that only has Ventile as a part of itself got {extra}")


def status_of(depends, ours):
    """A data base of dpkg in which exactly what `depends` asks for is installed, in just the version it asks for."""
    stanza = "Package: {}\nStatus: install ok installed\nArchitecture: {}\nVersion: {}\n" \
             "Maintainer: nobody\nDescription: stands for the real one\n\n"
    architecture = run("dpkg", "--print-architecture").strip()
    wanted = dict(re.findall(r"(?:^|, )([a-z0-9.+-]+)(?: \([<>=]+ ([^)]+)\))?", depends))
    return [name for name in wanted if name not in ours], "".join(
        stanza.format(name, architecture, version or "1") for name, version in wanted.items() if name not in ours)


def the_debian_packages_install_run_and_leave_nothing(package):
    if os.geteuid() != 0:
        raise Skipped("dpkg unpacks files for root only")
    if not shutil.which("dpkg-shlibdeps"):
        raise Skipped("dpkg-shlibdeps is not installed, so the packages would not know what they depend on")
    run("cpack", "--config", package.build / "CPackConfig.cmake", "-B", package.scratch / "packages",
        cwd=package.build)
    packages = sorted((package.scratch / "packages").glob("*.deb"))
    names = [run("dpkg-deb", "--field", path, "Package").strip() for path in packages]
    check(names == ["libventile-dev", "libventile0", "ventile"], f"cpack made {names}")
    depends = ", ".join(run("dpkg-deb", "--field", path, "Depends").strip() for path in packages)
    for name in ("libzmq5", "libc6", "libzmq3-dev"):
        check(name in depends, f"nobody depends on {name}: {depends}")

    root = package.scratch / "root"
    database, bin = root / "var/lib/dpkg", package.scratch / "bin"
    for folder in (database / "info", database / "updates", bin):
        folder.mkdir(parents=True)
    others, status = status_of(depends, names)
    (database / "status").write_text(status)
    (database / "available").touch()
    for name in others:
        (database / "info" / f"{name}.list").touch()
    # The packages' scripts run here and not in the folder, where there is no shell; this machine's cache is not theirs.
    (bin / "ldconfig").write_text("#!/bin/sh\n:\n")
    (bin / "ldconfig").chmod(0o755)
    dpkg = ["dpkg", f"--root={root}", "--force-script-chrootless", "--log=/dev/null"]
    environment = os.environ | {"PATH": f"{bin}:{os.environ['PATH']}:/usr/sbin:/sbin"}
    run(*dpkg, "--install", *packages, env=environment)

    libraries = package.libraries(root)
    check(libraries.name == os.uname().machine + "-linux-gnu", f"the libraries are in {libraries}")
    version = run(root / "usr/bin/ventile", "version").split()[1]
    found = run("pkg-config", "--modversion", "ventile",
                env=os.environ | {"PKG_CONFIG_PATH": str(libraries / "pkgconfig")}).strip()
    check(found == version, f"pkg-config says {found}, the program {version}")
    for role in ("ventilator", "worker", "sink"):
        run(root / f"usr/bin/ventile-{role}", "--version")
    run(*dpkg, "--purge", *names, env=environment)
    left = [path for path in root.rglob("*") if not path.is_dir() and not path.is_relative_to(root / "var")]
    check(not left, f"after the purge there is still {left}")


def programs_and_libraries_are_hardened(package):
    if package.cache.get("VENTILE_SANITIZE") or package.cache.get("CMAKE_BUILD_TYPE") == "Debug":
        raise Skipped("only what is optimised and not sanitized is hardened")
    prefix = package.install()
    for path in [*sorted((prefix / "bin").iterdir()), *package.libraries(prefix).glob("*.so")]:
        said = run("readelf", "--file-header", "--program-headers", "--dynamic", "--symbols", "--wide", path)
        check(re.search(r"Type:\s+DYN", said), f"{path.name} has a fixed position")
        check("GNU_RELRO" in said and re.search(r"FLAGS.*\bNOW\b", said), f"{path.name}: relocations stay writable")
        check("__stack_chk_fail" in said, f"{path.name} has no stack protector")
        check(not re.search(r"GNU_STACK.*E 0x", said), f"{path.name} has an executable stack")
    check("_chk@GLIBC" in run("readelf", "--dyn-syms", "--wide", prefix / "bin/ventile"), "no call is fortified")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    options = parser.parse_args()
    for name in options.tests:
        with tempfile.TemporaryDirectory(prefix="ventile-package-") as scratch:
            try:
                globals()[name](Package(options.source, options.build, Path(scratch)))
            except Failed as failed:
                print(f"{name}: {failed}")
                return 1
            except Skipped as skipped:
                print(f"skipped: {skipped}")
                return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
