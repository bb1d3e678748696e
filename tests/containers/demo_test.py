#!/usr/bin/env python3
"""The demo of docker/compose.yaml: a ventilator and a sink with disks, and whatever happens to them in mid-job."""
import json

from cluster import BIN, ROOT, Cluster, ContainerTest, docker, eventually, image_with, main, run

ROLES = ("ventilator", "sink", "demo-worker")


class WordCountTest(ContainerTest):
    def test_the_words_of_a_folder_are_counted(self):
        with Cluster(profile="demo", VENTILE_OUTPUT_FORMAT="msgpack", VENTILE_INPUT_FOLDER=str(ROOT / "core")) as cluster:
            cluster.environment["VENTILE_OUTPUT"] = str(cluster.shared("output"))
            cluster.up("--scale", "demo-worker=2", *ROLES)
            for role in ("ventilator", "sink"):
                self.assertEqual(cluster.wait_for_exit(cluster.container(role)), 0, role)
            here = cluster.folder / "here"
            run("find", ROOT / "core", "-type", "f", "-fprint0", here)
            run(BIN / "wordcount-check", cluster.folder / "output/wordcount", here)


class DurableTest(ContainerTest):
    """A job of many files, of which each takes a moment. Whatever happens, the sum of their sizes is exact."""
    FILES = 1200

    @classmethod
    def setUpClass(cls):
        cls.image = cls.enterClassContext(image_with("demo", "plugin_marks.so"))

    def setUp(self):
        self.cluster = cluster = self.enterContext(Cluster(profile="demo", VENTILE_IMAGE=self.image,
                                                           VENTILE_FUNCTION="mark_size", VENTILE_FOLD="sum"))
        files = cluster.shared("input")
        self.total = 0
        for number in range(self.FILES):
            self.total += number
            (files / f"{number}").write_bytes(b"x" * number)
        cluster.override("demo-worker", volumes=[f"{cluster.shared('marks')}:/marks"])
        cluster.environment |= {"VENTILE_INPUT_FOLDER": str(files), "VENTILE_OUTPUT": str(cluster.shared("output"))}
        cluster.up("--scale", "demo-worker=2", *ROLES)

    def begun(self):
        marks = self.cluster.folder / "marks/begun"
        return len(marks.read_text().split()) if marks.exists() else 0

    def wait_for_progress(self, tasks=50):
        first = self.begun()
        eventually("the job goes on", lambda: self.begun() >= first + tasks)

    def assert_exact(self):
        for role in ("ventilator", "sink"):
            self.assertEqual(self.cluster.wait_for_exit(self.cluster.container(role)), 0, role)
        said = self.cluster.log(self.cluster.container("ventilator"))
        self.assertIn("lost 0, counted twice 0", said)
        result = json.loads((self.cluster.folder / "output/wordcount").read_text())
        self.assertEqual((result["fold"], result["tasks"]), (self.total, self.FILES))

    def crash(self, container):
        """Kills it as if it had crashed: the engine starts it again."""
        run("kill", "-KILL", str(self.cluster.inspect(container, ".State.Pid")))
        eventually("it is started again", lambda: self.cluster.inspect(container, ".RestartCount") == 1)

    def test_a_worker_is_killed(self):
        self.wait_for_progress()
        docker("kill", self.cluster.container("demo-worker"))
        self.assert_exact()

    def test_the_sink_is_killed(self):
        self.wait_for_progress()
        sink = self.cluster.container("sink")
        docker("kill", sink)
        docker("start", sink)
        self.wait_for_progress()
        self.assert_exact()

    def test_the_sink_and_the_ventilator_crash_and_are_started_again(self):
        self.wait_for_progress()
        self.crash(self.cluster.container("sink"))
        self.wait_for_progress()
        self.crash(self.cluster.container("ventilator"))
        self.wait_for_progress()
        self.assert_exact()
        self.cluster.wait_for_line(self.cluster.container("ventilator"), "resumed wordcount: ")

    def test_all_is_taken_down_and_brought_up_again(self):
        self.wait_for_progress()
        run("docker", "kill", *[self.cluster.container(role) for role in ROLES])
        self.cluster.down()
        before = self.begun()
        self.assertLess(before, self.FILES)
        self.cluster.up("--scale", "demo-worker=2", *ROLES)
        self.assert_exact()
        self.cluster.wait_for_line(self.cluster.container("ventilator"), "resumed wordcount: ")
        self.assertLess(self.begun(), before + self.FILES)


if __name__ == "__main__":
    main()
