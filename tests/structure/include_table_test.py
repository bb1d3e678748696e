#!/usr/bin/env python3
"""Each rule of the include table can fail: trees that break it are found out, and a tree that keeps it is not."""
import tempfile
import unittest
from pathlib import Path

from include_table import breaches


class IncludeTableTest(unittest.TestCase):
    def check(self, **files):
        """What is found in a tree of these files, given as path = content (`__` is a slash, `_hpp` an ending)."""
        with tempfile.TemporaryDirectory() as tree:
            for name, content in files.items():
                path = Path(tree, name.replace("__", "/").replace("_hpp", ".hpp").replace("_cpp", ".cpp"))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
            return breaches(tree)

    def assert_found(self, expected, **files):
        found = self.check(**files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(expected, found[0])

    def test_a_tree_that_keeps_the_table_is_accepted(self):
        self.assertEqual([], self.check(
            core__ventile__base__range_hpp="#include <cstdint>\n#include <sys/uio.h>\n",
            core__ventile__wire__pack_hpp="#include <ventile/base/range.hpp>\n",
            core__ventile__wire__msgpack_define_hpp="#include <msgpack.hpp>\n",
            core__ventile__wire__pack_cpp="#include <msgpack.hpp>\n#include <ventile/wire/pack.hpp>\n",
            core__ventile__net__socket_cpp="#include <zmq_addon.hpp>\n#include <thread>\n",
            patterns__ventile__queue__ledger_hpp="#include <ventile/wire/pack.hpp>\n// Never Clock::now().\n",
            patterns__ventile__queue__worker_cpp="#include <ventile/queue/ledger.hpp>\n#include <ventile/net/socket.hpp>\n"
                                                 "auto start = Clock::now();\n",
            patterns__ventile__compute__pool_cpp="#include <ventile/queue/worker.hpp>\n",
            nodes__worker_cpp="#include <CLI/CLI.hpp>\n#include <nodes/options.hpp>\n#include <ventile/queue/worker.hpp>\n"))

    def test_base_includes_nothing_of_ours(self):
        self.assert_found("core/ventile/base/log.hpp:2: <ventile/wire/pack.hpp>: base may include the standard library",
                          core__ventile__base__log_hpp="#include <string>\n#include <ventile/wire/pack.hpp>\n")

    def test_a_library_never_looks_up(self):
        self.assert_found("net may include base, wire only",
                          core__ventile__net__socket_hpp="#include <ventile/task/runner.hpp>\n")
        self.assert_found("task may include base, wire only",
                          core__ventile__task__runner_cpp="#include <ventile/net/channel.hpp>\n")
        self.assert_found("queue may include", patterns__ventile__queue__sink_cpp="#include <nodes/options.hpp>\n")
        self.assert_found("nodes may include", nodes__sink_cpp='#include "tests/support/clock.hpp"\n')

    def test_a_pattern_does_not_know_another(self):
        self.assert_found("queue may include",
                          patterns__ventile__queue__sink_cpp="#include <ventile/pipeline/source.hpp>\n")

    def test_an_include_by_relative_path_is_found_out_too(self):
        self.assert_found("base may include", core__ventile__wire__pack_hpp="",
                          core__ventile__base__log_hpp='#include "../wire/pack.hpp"\n')

    def test_zmq_stays_behind_its_fence(self):
        self.assert_found("zmq is known to", patterns__ventile__queue__sink_cpp="#include <zmq.h>\n")
        self.assert_found("zmq is known to", nodes__sink_cpp="  #  include <zmq.hpp>\n")

    def test_a_public_header_includes_no_library(self):
        self.assert_found("a public header includes no library", core__ventile__net__socket_hpp="#include <zmq.hpp>\n")
        self.assert_found("a public header includes no library", core__ventile__wire__pack_hpp="#include <msgpack.hpp>\n")
        self.assert_found("a public header includes no library",
                          patterns__ventile__compute__pool_hpp="#include <boost/any.hpp>\n")

    def test_a_source_includes_no_library_that_its_folder_is_not_given(self):
        self.assert_found("the sources of base may include no library",
                          core__ventile__base__log_cpp="#include <spdlog/spdlog.h>\n")
        self.assert_found("the sources of wire may include msgpack, nlohmann only",
                          core__ventile__wire__pack_cpp="#include <openssl/evp.h>\n")

    def test_a_decider_includes_no_driver(self):
        self.assert_found("a decider may include base, wire only",
                          patterns__ventile__queue__dispatcher_cpp="#include <ventile/net/reactor.hpp>\n")

    def test_a_decider_owns_no_thread_or_file(self):
        for header in ("thread", "mutex", "fstream", "sys/stat.h"):
            self.assert_found("a decider owns no thread, file or clock",
                              patterns__ventile__queue__session_hpp=f"#include <{header}>\n")

    def test_a_decider_reads_no_clock_and_throws_no_dice(self):
        self.assert_found("feed.cpp:1: a decider reads a clock",
                          patterns__ventile__queue__feed_cpp="auto now = Clock::now();\n")
        self.assert_found("a decider draws without a seed",
                          patterns__ventile__pipeline__resend_cpp="std::random_device dice;\n")

    def test_what_a_decider_includes_is_held_to_its_rules(self):
        self.assert_found("queue/account.cpp:1: <thread>: a decider owns no thread",
                          patterns__ventile__queue__ledger_hpp="#include <ventile/queue/account.hpp>\n",
                          patterns__ventile__queue__account_hpp="",
                          patterns__ventile__queue__account_cpp="#include <thread>\n")

    def test_a_folder_without_a_row_is_refused(self):
        self.assert_found("the folder 'misc' has no row", core__ventile__misc__things_hpp="")

    def test_an_empty_tree_is_no_success(self):
        self.assert_found("nothing to check")


if __name__ == "__main__":
    unittest.main()
