// Ventilator, workers and sink of one job as a test sees them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tests/nodes/io/temporary.hpp>
#include <tests/system/gate.hpp>
#include <tests/system/process.hpp>

namespace ventile {

using Arguments = std::vector<std::string>;

// What `ventile-ventilator --json` says at the end.
struct Summary {
  std::uint64_t submitted = 0;
  std::uint64_t skipped = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t dead = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t workers_seen = 0;
  std::uint64_t batches_requeued = 0;
  std::uint64_t duplicates_dropped = 0;
  std::uint64_t retries = 0;
  std::uint64_t settled = 0;
  std::uint64_t lost = 0;
  std::uint64_t counted_twice = 0;
  std::map<std::string, std::uint64_t> refusals;  // Messages, by reason.
  std::vector<std::string> failures;              // The groups' messages, the largest first.
};

// The first line of the text that is a summary; the test fails if there is none.
Summary summary_in(const std::string& text);
// The lines of a file, sorted.
std::vector<std::string> sorted_lines(const std::string& path);
std::vector<std::string> lines_of_text(const std::string& text);
// "0" … "count - 1", sorted as text.
std::vector<std::string> numbers_below(std::int64_t count);
// A port that was free a moment ago, below those that the system gives to outgoing connections: one of these could
// connect to itself.
std::uint16_t free_port();
std::string read_file(const std::string& path);

class SystemTest : public testing::Test {
protected:
  SystemTest();
  // Shows what the processes said if the test has failed.
  ~SystemTest() override;

  std::string path(std::string_view name) const { return folder_.path(name); }
  std::string write(std::string_view name, std::string_view text) const { return folder_.write(name, text); }

  Process& start(const std::string& program, const Arguments& arguments, int input = -1);
  // Binds address_ and, once it serves, changes that to the real one. Its summary is JSON.
  Process& start_ventilator(const Arguments& arguments, int input = -1);
  Process& start_worker(const Arguments& arguments = {"-j", "1"});  // With the plugin.
  Process& start_sink(const Arguments& arguments);                  // With the plugin.
  // Its results go to path("results"), one raw value a line.
  Process& start_sink() { return start_sink({"--output", path("results"), "--format", "raw"}); }

  // The process that has this number.
  Process& process_of(pid_t pid);

  // NOLINTBEGIN(readability-identifier-naming)
  std::string address_ = "tcp://127.0.0.1:0";
  Arguments prefix_;  // Put before every command that is started from now on.
  // NOLINTEND(readability-identifier-naming)

private:
  TemporaryFolder folder_;
  std::vector<std::unique_ptr<Process>> processes_;  // The last one started is the first to be killed.
};

// The ventilator has ended with this code, and its summary is this, with nothing lost or counted twice.
Summary exact_summary(Process& ventilator, int code = 0);

}  // namespace ventile
