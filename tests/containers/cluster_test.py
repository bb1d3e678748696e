#!/usr/bin/env python3
"""The cluster of docker/compose.yaml: from the host with the client's key, and whatever happens to it in mid-job.

The image that runs is the one under test with two plugins more.
"""
import re

from cluster import (BIN, IMAGE, NOBODY, Cluster, ContainerTest, docker, eventually, image_with, main, processes, run)

TASKS = 1500  # Of 10 ms, one at a time in each worker.


class ClusterTest(ContainerTest):
    """One cluster for all; every test leaves two workers there."""

    @classmethod
    def setUpClass(cls):
        image = cls.enterClassContext(image_with("cluster", "plugin_marks.so", "darts.so"))
        cls.cluster = cluster = cls.enterClassContext(Cluster(VENTILE_IMAGE=image, VENTILE_WORKERS="2",
                                                                VENTILE_EXEC="printf <%s>"))
        cluster.override("worker", volumes=[f"{cluster.shared('marks')}:/marks"])
        cluster.up()
        health = cluster.inspect(cluster.container("broker"), ".State.Health.Log")
        cls.healthy_before = [check["End"][:23] for check in health if check["ExitCode"] == 0]
        cls.workers_began = [cluster.inspect(worker, ".State.StartedAt")[:23] for worker in cluster.containers("worker")]
        cluster.client_keys()
        cluster.wait_for_workers(2)

    def setUp(self):
        self.begun = self.cluster.folder / "marks/begun"
        self.begun.unlink(missing_ok=True)

    def assert_nothing_ran_twice(self, count):
        ran = sorted(int(line) for line in self.begun.read_text().split())
        self.assertEqual(ran, list(range(count)))

    def wait_until_resumed(self, broker):
        """A broker that can be durable goes on with the job from its volume; another is given it again by its client."""
        if "--durable" in docker("run", "--rm", IMAGE, "broker", "--help"):
            self.cluster.wait_for_line(broker, "resumed 1 job from /data/broker: ")

    def worker_of_status(self, container):
        """The worker's name begins with its container's."""
        return next((worker for worker in self.cluster.status()["workers"]
                     if worker["name"].startswith(container[:12])), None)

    # --- From the host ---

    def test_the_host_sees_its_workers_with_the_clients_key(self):
        self.assertIn("2 workers", self.cluster.ventile("status"))

    def test_a_container_of_the_client_sees_them_too(self):
        self.assertIn("2 workers", self.cluster.compose("run", "--rm", "-T", "client", "status"))

    def test_without_a_key_or_with_that_of_others_the_host_stays_out(self):
        without = run(BIN / "ventile", "status", "--connect", self.cluster.address, "--patience", "20s", check=False)
        self.assertEqual(without.returncode, 4, without.stderr)
        self.assertIn("it asks for keys", without.stderr)
        run(BIN / "ventile", "keygen", "--out", self.cluster.folder / "others")
        others = self.cluster.ventile("status", "--keys", self.cluster.folder / "others/client", check=False)
        self.assertIn(others.returncode, (3, 4))

    def test_a_client_is_added_and_revoked_without_a_restart(self):
        self.cluster.compose("run", "--rm", "keys", "keygen", "--out", "/keys", "--add", "client", "--name", "anna")
        anna = self.cluster.client_keys("client-anna")

        def status():
            return self.cluster.ventile("status", "--keys", anna, "--patience", "20s", check=False).returncode
        eventually("anna is let in", lambda: status() == 0)
        self.cluster.compose("run", "--rm", "keys", "keys", "revoke", "anna", "--keys", "/keys")
        eventually("anna is not let in any more", lambda: status() in (3, 4))
        self.assertIn("2 workers", self.cluster.ventile("status"))

    def test_a_program_of_ones_own_runs_on_the_cluster(self):
        said = run(BIN / "cluster", self.cluster.address, self.cluster.folder / "client")
        self.assertRegex(said, r"pi is about 3\.14\d*, by [12] process")

    def test_a_command_runs_in_the_containers(self):
        said = self.cluster.ventile("map", "--function", "exec", "--format", "lines", "--output-format", "raw",
                                    input="a\nb\n")
        self.assertEqual(re.findall("<.>", said), ["<a>", "<b>"])

    # --- What it is made of ---

    def test_nobody_is_root_in_any_container(self):
        for service in ("broker", "worker"):
            for container in self.cluster.containers(service):
                self.assertEqual({user for user, _ in processes(container)}, {NOBODY}, service)

    def test_no_worker_has_the_secret_of_another_role(self):
        worker, broker = self.cluster.container("worker"), self.cluster.container("broker")
        self.assertIn("role worker", docker("exec", worker, "cat", "/keys/key"))
        self.assertIn("role dispatcher", docker("exec", broker, "cat", "/keys/key"))
        self.assertEqual(docker("exec", worker, "ls", "/keys").split(), ["key", "peers"])

    def test_slots_follow_the_processors_of_the_container(self):
        line = f"working for tcp://broker:5570 with 1 slot (1 processor by /sys/fs/cgroup/"
        self.cluster.wait_for_line(self.cluster.container("worker"), line)

    def test_workers_began_when_the_broker_was_healthy(self):
        self.assertTrue(self.healthy_before)
        for began in self.workers_began:
            self.assertTrue(any(end < began for end in self.healthy_before), (self.healthy_before, began))

    def test_a_container_with_a_wrong_key_stays_out(self):
        run(BIN / "ventile", "keygen", "--out", self.cluster.folder / "wrong")
        run("chown", "-R", f"{NOBODY}:{NOBODY}", self.cluster.folder / "wrong")
        (self.cluster.folder / "wrong").chmod(0o755)
        stranger = docker("run", "--detach", "--network", self.cluster.network(), "--volume",
                          f"{self.cluster.folder}/wrong/worker:/keys:ro", IMAGE, "worker", "--keys", "/keys",
                          "--connect", "tcp://broker:5570").strip()
        try:
            self.cluster.wait_for_line(stranger, "none has answered for 3 s")
            self.assertIsNone(self.worker_of_status(stranger))
            self.assertEqual(len(self.cluster.status()["workers"]), 2)
        finally:
            docker("rm", "--force", stranger)

    # --- In mid-job ---

    def test_workers_come_and_go(self):
        cluster = self.cluster
        cluster.scale("worker", 1)
        cluster.wait_for_workers(1)
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            cluster.scale("worker", 4)
            cluster.wait_for_workers(4)
            cluster.wait_for_progress()
            cluster.scale("worker", 2)
            cluster.wait_for_workers(2)
        self.assert_nothing_ran_twice(TASKS)

    def test_a_worker_is_killed(self):
        cluster = self.cluster
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            docker("kill", cluster.containers("worker")[0])
            cluster.wait_for_progress()
            cluster.up("--scale", "worker=2")
        cluster.wait_for_workers(2)

    def test_a_worker_that_crashes_is_started_again(self):
        cluster = self.cluster
        worker = cluster.containers("worker")[0]
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            run("kill", "-KILL", str(cluster.inspect(worker, ".State.Pid")))
            eventually("it is started again", lambda: cluster.inspect(worker, ".RestartCount") == 1)
        cluster.wait_for_workers(2)

    def test_the_broker_is_killed(self):
        cluster = self.cluster
        broker = cluster.container("broker")
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            docker("kill", broker)
            docker("start", broker)
            self.wait_until_resumed(broker)
            cluster.wait_for_progress()
        cluster.wait_for_workers(2)

    def test_all_is_taken_down_and_brought_up_again(self):
        cluster = self.cluster
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            cluster.down()
            cluster.up()
            self.wait_until_resumed(cluster.container("broker"))
            cluster.wait_for_progress()
        cluster.wait_for_workers(2)

    def test_a_worker_that_is_stopped_hands_back_and_nothing_runs_twice(self):
        cluster = self.cluster
        worker = cluster.containers("worker")[1]
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            docker("stop", "--time", "60", worker)
            self.assertEqual(cluster.wait_for_exit(worker), 0)
            cluster.wait_for_progress()
        self.assert_nothing_ran_twice(TASKS)
        docker("start", worker)
        cluster.wait_for_workers(2)

    def test_a_worker_that_is_cut_off_comes_back(self):
        cluster = self.cluster
        worker = cluster.containers("worker")[1]
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            docker("network", "disconnect", cluster.network(), worker)
            eventually("it says that it waits for the broker", lambda: not cluster.well(worker))
            docker("network", "connect", cluster.network(), worker)
            eventually("it serves again", lambda: cluster.well(worker))
        cluster.wait_for_workers(2)

    def test_a_worker_that_is_cut_off_comes_back_at_another_address(self):
        """Its old connection is dead, and nobody says so: what it sends there is confirmed by nobody."""
        cluster = self.cluster
        worker = cluster.containers("worker")[1]
        before = cluster.host_address(worker)
        with cluster.map("mark", TASKS):
            cluster.wait_for_progress()
            docker("network", "disconnect", cluster.network(), worker)
            eventually("it says that it waits for the broker", lambda: not cluster.well(worker))
            with cluster.squatter():
                docker("network", "connect", cluster.network(), worker)
                self.assertNotEqual(cluster.host_address(worker), before)
            eventually("it serves again", lambda: cluster.well(worker))
        cluster.wait_for_workers(2)

    def test_a_broker_that_comes_back_at_another_address_is_found(self):
        """Its name is looked up again, as a pod's or a container's must be."""
        cluster = self.cluster
        broker = cluster.container("broker")
        before = cluster.host_address(broker)
        docker("network", "disconnect", cluster.network(), broker)
        with cluster.squatter() as squatter:
            docker("network", "connect", "--alias", "broker", cluster.network(), broker)
            now = cluster.host_address(broker)
            self.assertNotEqual(now, before)
            for worker in cluster.containers("worker"):
                cluster.wait_for_line(worker, f"tcp://broker:5570 is now at tcp://{now}:5570")
            cluster.wait_for_workers(2)
            self.assertTrue(cluster.inspect(squatter, ".State.Running"), "it waits for a name, and does not leave")


if __name__ == "__main__":
    main()
