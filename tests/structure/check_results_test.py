#!/usr/bin/env python3
"""The closing line of script/test counts what ctest saw, and nothing that did not run counts as passed."""
import subprocess
import tempfile
import unittest
from pathlib import Path

CHECK_RESULTS = Path(__file__).parents[2] / "script/check-results"
PASSED = '<testcase name="a" status="run"/>'
FAILED = """<testcase name="b" status="fail"><failure message=""/><system-out>b.cpp:7: Failure
</system-out></testcase>"""
SKIPPED = """<testcase name="c" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
<system-out>[ RUN      ] c\nfile.cpp:3: Skipped\nneeds root for namespaces\n[  SKIPPED ] c</system-out></testcase>"""
MISSING = '<testcase name="d" status="notrun"><skipped message="Unable to find executable"/></testcase>'


class CheckResultsTest(unittest.TestCase):
    def assert_prints(self, code, printed, *cases, options=()):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as report:
            report.write(f"<testsuite>{''.join(cases)}</testsuite>" if cases else "")
            report.flush()
            ran = subprocess.run([CHECK_RESULTS, report.name, *options], capture_output=True, text=True, check=False)
        self.assertEqual((code, printed), (ran.returncode, ran.stdout), ran.stderr)

    def test_all_passed(self):
        self.assert_prints(0, "2 passed, 0 failed\n", PASSED, PASSED)

    def test_a_failure_fails_and_says_what_the_test_said_last(self):
        self.assert_prints(1, "FAILED b\n  b.cpp:7: Failure\n1 passed, 1 failed\n", PASSED, FAILED)

    def test_a_skip_says_why(self):
        self.assert_prints(0, "skipped c: needs root for namespaces\n1 passed, 0 failed, 1 skipped\n", PASSED, SKIPPED)

    def test_a_program_that_was_not_built_has_failed(self):
        self.assert_prints(1, "FAILED d\n  (it said nothing)\n1 passed, 1 failed\n", PASSED, MISSING)

    def test_no_test_is_no_success(self):
        self.assert_prints(1, "no test ran\n0 passed, 0 failed\n")
        skipped = "skipped c: needs root for namespaces\n0 passed, 0 failed, 1 skipped\n"
        self.assert_prints(1, "no test ran\n" + skipped, SKIPPED)
        self.assert_prints(0, skipped, SKIPPED, options=["--all-may-skip"])


if __name__ == "__main__":
    unittest.main()
