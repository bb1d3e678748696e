#!/usr/bin/env python3
"""docker/swarm/stack.yaml on a swarm of one, which is made for the test and left again.

An engine that leaves a swarm takes the networks of its other containers down: where there are any, there is no test.
"""
import contextlib
import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from cluster import BIN, DOCKER, IMAGE, ContainerTest, docker, eventually, free_port, main, run


@unittest.skipIf(docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() != "inactive",
                 "this engine is in a swarm already, which is none of ours to change")
@unittest.skipIf(docker("ps", "--quiet").strip(), "other containers run on this engine")
class SwarmTest(ContainerTest):
    def setUp(self):
        docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        self.addCleanup(docker, "swarm", "leave", "--force")
        self.folder = Path(tempfile.mkdtemp(prefix="ventile-containers-"))
        self.addCleanup(shutil.rmtree, self.folder)
        run(BIN / "ventile", "keygen", "--out", self.folder / "keys")
        for role in ("dispatcher", "worker"):
            for file in ("key", "peers"):
                docker("secret", "create", f"ventile-{role}-{file}", self.folder / "keys" / role / file)
        self.stack = f"ventile{os.getpid()}"
        self.port = free_port()
        self.addCleanup(self.remove)
        docker("stack", "deploy", "--compose-file", DOCKER / "swarm/stack.yaml", self.stack,
               env=os.environ | {"VENTILE_IMAGE": IMAGE, "VENTILE_PORT": str(self.port)})

    def remove(self):
        docker("stack", "rm", self.stack)
        of_this = ["--filter", f"label=com.docker.stack.namespace={self.stack}"]
        eventually("the stack is gone", lambda: not docker("ps", "--quiet", "--all", *of_this).strip())
        with contextlib.suppress(AssertionError):
            docker("volume", "rm", f"{self.stack}_broker")

    def ventile(self, *arguments):
        return run(BIN / "ventile", *arguments, "--connect", f"tcp://127.0.0.1:{self.port}", "--keys",
                   self.folder / "keys/client", check=False)

    def workers(self):
        done = self.ventile("status", "--json")
        return json.loads(done.stdout)["workers"] if done.returncode == 0 else []

    def test_a_job_runs_on_the_stack(self):
        eventually("two workers", lambda: len(self.workers()) == 2)
        folded = self.ventile("map", "--function", "index", "--range", "0:1000", "--fold", "sum")
        self.assertEqual(json.loads(folded.stdout), {"fold": 499500, "tasks": 1000})
        docker("service", "scale", "--detach=true", f"{self.stack}_worker=1")
        eventually("one worker", lambda: len(self.workers()) == 1)


if __name__ == "__main__":
    main()
