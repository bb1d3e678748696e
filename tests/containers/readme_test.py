#!/usr/bin/env python3
"""docker/README.md, followed to the letter: every command that it says is run, and prints what it shows."""
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cluster import BIN, DOCKER, ROOT, ContainerTest, main, run

sys.path.insert(0, str(ROOT / "tests/structure"))
import page  # noqa: E402


class ReadmeTest(ContainerTest):
    def test_it_keeps_its_word(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            for entry in ROOT.iterdir():
                if entry.name != "docker" and not entry.name.startswith("."):
                    (tree / entry.name).symlink_to(entry)
            shutil.copytree(DOCKER, tree / "docker")
            os.environ["COMPOSE_PROJECT_NAME"] = f"ventilereadme{os.getpid()}"
            try:
                self.assertEqual(list(self.wrong(tree / "docker")), [])
            finally:
                run("docker-compose", "--profile", "demo", "down", "--volumes", cwd=tree / "docker")
                run("docker", "image", "rm", "--force", "ventile-mine")

    @staticmethod
    def wrong(folder):
        """What it gets wrong, as lines of text."""
        printed = None
        for block in page.blocks_of((folder / "README.md").read_text()):
            where = f"README.md:{block.line}"
            if block.mark == "run":
                environment = {name: os.environ[name] for name in ("VENTILE_IMAGE",) if name in os.environ}
                exports = "".join(f"export {name}='{value}'\n" for name, value in environment.items())
                code, printed = page.run(exports + block.text, folder, BIN)
                if code != 0:
                    yield f"{where}: exit code {code}; it printed\n{printed}"
            elif block.mark == "output":
                plain = re.sub(r"\x1b\[[0-9;]*m", "", printed)
                if not page.matches(block.text, plain):
                    yield f"{where}: expected\n{block.text}\nbut it printed\n{plain}"
            elif block.language == "sh" and not block.mark.startswith("not run: "):
                yield f"{where}: say before this block whether it is run"


if __name__ == "__main__":
    main()
