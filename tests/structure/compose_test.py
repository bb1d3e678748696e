#!/usr/bin/env python3
"""docker/.env names every value that the compose files take, with the default that they have, and the files use only what
docker-compose 1.29 and compose v2 both know.
"""
import re
import unittest
from pathlib import Path

DOCKER = Path(__file__).resolve().parents[2] / "docker"
FILES = sorted(DOCKER.glob("compose*.yaml"))


def variables(text):
    """The variables of a compose file, each with its default."""
    return re.findall(r"\$\{(\w+)(?::-([^}]*))?\}", text)


def settings(text):
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


class ComposeTest(unittest.TestCase):
    def setUp(self):
        self.settings = settings((DOCKER / ".env").read_text())
        self.texts = {file.name: file.read_text() for file in FILES}

    def test_every_value_of_a_compose_file_is_in_env_with_the_same_default(self):
        for name, text in self.texts.items():
            for variable, default in variables(text):
                self.assertEqual(self.settings.get(variable), default, f"{variable} in {name}")

    def test_everything_in_env_is_used(self):
        used = {variable for text in self.texts.values() for variable, _ in variables(text)}
        self.assertEqual(set(self.settings), used)

    def test_neither_compose_is_shut_out(self):
        """1.29 reads a file with `version` by rules of its own and refuses `name`; v2 warns of `version`."""
        for name, text in self.texts.items():
            self.assertNotRegex(text, r"(?m)^(version|name):", name)
            self.assertNotRegex(text, r"(?m)^\s+(container_name|links|develop|extends|pull_policy|configs):", name)

    def test_the_grace_is_longer_than_the_drain(self):
        drain, grace = (int(self.settings[name].removesuffix("s")) for name in ("VENTILE_DRAIN", "VENTILE_GRACE"))
        self.assertGreater(grace, drain)

    def test_no_worker_publishes_a_port(self):
        self.assertEqual(self.texts["compose.yaml"].count("ports:"), 1)


if __name__ == "__main__":
    unittest.main()
