#!/usr/bin/env python3
"""Keys that the user has made, as secrets: the image's number must be able to read them, and says so if it is not."""
import shutil

from cluster import BIN, NOBODY, Cluster, ContainerTest, main, run


class SecretsTest(ContainerTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster(files=("compose.yaml", "compose.secrets.yaml"), VENTILE_WORKERS="1"))
        self.keys = self.cluster.folder / "keys"
        run(BIN / "ventile", "keygen", "--out", self.keys)
        shutil.copytree(self.keys / "client", self.cluster.folder / "client")
        self.cluster.environment["VENTILE_KEYS_FOLDER"] = str(self.keys)

    def own(self, user):
        run("chown", "-R", f"{user}:{user}", self.keys)

    def test_a_cluster_stands_on_them(self):
        self.own(NOBODY)
        self.cluster.up()
        self.cluster.wait_for_workers(1)
        with self.cluster.map("index", 1000, lambda number: number):
            pass
        self.assertEqual(self.cluster.inspect(self.cluster.container("worker"), ".Config.Env").count("VENTILE_KEYS=/run/secrets"), 1)

    def test_those_of_somebody_else_are_named_with_who_cannot_read_them(self):
        self.own(0)
        self.cluster.compose("up", "--detach", "broker", check=False)
        self.cluster.wait_for_line(self.cluster.container("broker"),
                                   f"cannot read /run/secrets/key: Permission denied to user {NOBODY}")


if __name__ == "__main__":
    main()
