#!/usr/bin/env python3
"""A page that does not keep its word is found out, and one that does is not."""
import tempfile
import unittest
from pathlib import Path

from page import check, matches


def block(mark, language, text):
    return f"Words.\n\n<!-- {mark} -->\n```{language}\n{text}\n```\n\n"


class PageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        (self.tree / "bin").mkdir()
        (self.tree / "examples").mkdir()
        (self.tree / "examples/square.cpp").write_text("// Squares.\nint square(int x) { return x * x; }\n")

    def check(self, text):
        page = self.tree / "README.md"
        page.write_text(text)
        return check(page, self.tree, self.tree / "bin")

    def assert_found(self, expected, text):
        found = self.check(text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(expected, found[0])

    def test_a_page_that_keeps_its_word_is_accepted(self):
        self.assertEqual([], self.check(
            block("run", "sh", "seq 3 >numbers\ncat examples/square.cpp >/dev/null")
            + block("run", "sh", "wc -l <numbers\necho took 0.31 s")
            + block("output", "text", "3\ntook … s")
            + block("run: exit 3", "sh", "exit 3")
            + block("file: examples/square.cpp", "cpp", "int square(int x) { return x * x; }")
            + block("not run: needs a cluster", "sh", "false")))

    def test_a_command_that_fails_is_found_out(self):
        self.assert_found("README.md:4: exit code 1, expected 0", block("run", "sh", "false"))
        self.assert_found("exit code 1, expected 0", block("run", "sh", "false | true"))
        self.assert_found("exit code 0, expected 3", block("run: exit 3", "sh", "true"))

    def test_another_output_is_found_out(self):
        self.assert_found("but it printed\n    4", block("run", "sh", "echo 4") + block("output", "text", "5"))

    def test_an_output_without_a_command_is_found_out(self):
        self.assert_found("no block was run before it", block("output", "text", "5"))

    def test_a_source_that_was_changed_is_found_out(self):
        self.assert_found("not lines of examples/square.cpp",
                          block("file: examples/square.cpp", "cpp", "int square(int y) { return y * y; }"))
        self.assert_found("not lines of examples/square.cpp",
                          block("file: examples/square.cpp", "cpp", "square(int x) { return x * x; }"))
        self.assert_found("there is no file examples/cube.cpp", block("file: examples/cube.cpp", "cpp", ""))

    def test_a_block_that_nobody_checks_is_found_out(self):
        text = block("run", "sh", "true")
        self.assert_found("say before this block", text + "```sh\nfalse\n```\n")
        self.assert_found("say before this block", text + "```cpp\nint x;\n```\n")
        self.assert_found("no block to check", "Words only.\n")

    def test_the_programs_of_the_build_come_first(self):
        (self.tree / "bin/ventile").write_text("#!/bin/sh\necho ours\n")
        (self.tree / "bin/ventile").chmod(0o755)
        self.assertEqual([], self.check(block("run", "sh", "ventile") + block("output", "text", "ours")))

    def test_what_a_block_leaves_running_ends_with_it(self):
        self.assertEqual([], self.check(
            block("run", "sh", "sleep 1000 & echo $! >pid")
            + block("run", "sh", "while grep -qs '^State:.[^Z]' /proc/$(cat pid)/status; do :; done")))

    def test_an_ellipsis_stands_for_anything_in_a_line_and_for_any_lines(self):
        self.assertTrue(matches("a … c\n", "a b c\n"))
        self.assertFalse(matches("a … c\n", "a b\nb c\n"))
        self.assertTrue(matches("a\n…\nc\n", "a\nb\nb\nc\n"))
        self.assertTrue(matches("a\n…\nc\n", "a\nc\n"))
        self.assertFalse(matches("a\n…\nc\n", "a\nb\nd\n"))
        self.assertFalse(matches("a.c\n", "abc\n"))


if __name__ == "__main__":
    unittest.main()
