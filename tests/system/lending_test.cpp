// Large payloads between processes of one machine, which lend them to each other instead of sending them: whoever is
// killed, and whatever a stranger says, the results are the same.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ventile/net/context.hpp>
#include <ventile/net/socket.hpp>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

constexpr int tasks = 300;
constexpr std::size_t payload_bytes = 300'000;

std::string line_of(int number) {
  std::string line = std::to_string(number);
  return line + std::string(payload_bytes - line.size(), static_cast<char>('a' + number % 26));
}

class Lending : public SystemTest, public testing::WithParamInterface<const char*> {
protected:
  Lending() {
    if (std::string{GetParam()} == "ipc") address_ = "ipc://" + path("job");
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    input_ = ends[0];
    lines_ = ends[1];
    for (int i = 0; i < tasks; ++i) expected.push_back(line_of(i));
    std::sort(expected.begin(), expected.end());
  }
  ~Lending() override {
    close_input();
    ::close(input_);
  }

  // Waits while the job's window is full.
  void feed(int from, int to) const {
    for (int i = from; i < to; ++i) {
      const std::string line = line_of(i) + '\n';
      for (std::size_t at = 0; at < line.size();) {
        const ssize_t written = ::write(lines_, line.data() + at, line.size() - at);
        ASSERT_GT(written, 0);
        at += static_cast<std::size_t>(written);
      }
    }
  }
  void close_input() {
    if (lines_ >= 0) ::close(std::exchange(lines_, -1));
  }

  Process& start_job(const Arguments& more = {}) {
    Arguments arguments{"--format", "lines", "--function", "echo"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start_ventilator(arguments, input_);
  }

  // Whether it has mapped what another process lends.
  static bool borrows(const Process& process) {
    return read_file("/proc/" + std::to_string(process.pid()) + "/maps").find("memfd:ventile-tickets") !=
           std::string::npos;
  }
  void expect_all_results() const { EXPECT_TRUE(sorted_lines(path("results")) == expected); }

  std::vector<std::string> expected;

private:
  int input_ = -1;
  int lines_ = -1;
};

TEST_P(Lending, results_are_those_of_a_job_whose_workers_are_killed) {
  Process& ventilator = start_job();
  Process& sink = start_sink();
  Process* victim = &start_worker();
  Process& other = start_worker();
  for (int round = 0; round < 3; ++round) {
    feed(round * tasks / 4, (round + 1) * tasks / 4);
    victim->kill();
    EXPECT_EQ(victim->wait(), -SIGKILL);
    victim = &start_worker();
  }
  feed(3 * tasks / 4, tasks);
  EXPECT_TRUE(borrows(sink));
  EXPECT_TRUE(borrows(other));
  close_input();
  EXPECT_EQ(exact_summary(ventilator).done, std::uint64_t{tasks});
  EXPECT_EQ(sink.wait(), 0);
  expect_all_results();
}

TEST_P(Lending, results_are_those_of_a_job_whose_sink_is_killed) {
  Process& ventilator = start_job({"--job", "large", "--durable", path("ventilator")});
  const Arguments collects{"--output", path("results"), "--format", "raw", "--durable", path("sink")};
  Process* sink = &start_sink(collects);
  start_worker();
  for (int round = 0; round < 3; ++round) {
    feed(round * tasks / 4, (round + 1) * tasks / 4);
    sink->kill();
    EXPECT_EQ(sink->wait(), -SIGKILL);
    sink = &start_sink(collects);
  }
  feed(3 * tasks / 4, tasks);
  close_input();
  EXPECT_EQ(exact_summary(ventilator).done, std::uint64_t{tasks});
  EXPECT_EQ(sink->wait(), 0);
  expect_all_results();
}

TEST_P(Lending, a_note_that_leads_to_nothing_ends_it_and_loses_no_result) {
  Process& ventilator = start_job();
  Process& sink = start_sink();
  start_worker();
  const std::string collecting = sink.line_with("results come in on ");
  const std::string results = collecting.substr(collecting.rfind(' ') + 1);
  feed(0, tasks / 2);
  Context context;
  PushSocket push{context};
  ASSERT_TRUE(push.connect(*Endpoint::parse(results)));
  std::string forged = "lentVNTL" + std::string(40, '\1');
  const pid_t lender = getpid();
  std::memcpy(forged.data() + 24, &lender, sizeof lender);
  for (int i = 0; i < 2; ++i) {
    Frame note = Frame::copy_of(as_bytes(forged));
    while (push.send(note) == SendOutcome::would_block) std::this_thread::yield();
  }
  sink.line_with("Nothing is lent to this sink from now on.");
  feed(tasks / 2, tasks);
  close_input();
  EXPECT_EQ(exact_summary(ventilator).done, std::uint64_t{tasks});
  EXPECT_EQ(sink.wait(), 0);
  expect_all_results();
}

// A sink that took notes for results only never opened such a job.
TEST_P(Lending, what_a_job_says_to_its_sink_may_be_large_too) {
  Process& ventilator = start_job({"--args", "[\"" + std::string(100'000, 'x') + "\"]", "--range", "0:3"});
  Process& sink = start_sink();
  start_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 3U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_P(Lending, can_be_switched_off_by_any_side) {
  Process& ventilator = start_job();
  Process& sink = start_sink({"--output", path("results"), "--format", "raw", "--no-shared-memory"});
  Process& worker = start_worker({"-j", "1", "--no-shared-memory"});
  feed(0, tasks);
  EXPECT_FALSE(borrows(sink));
  EXPECT_FALSE(borrows(worker));
  close_input();
  EXPECT_EQ(exact_summary(ventilator).done, std::uint64_t{tasks});
  EXPECT_EQ(sink.wait(), 0);
  expect_all_results();
}

INSTANTIATE_TEST_SUITE_P(Large, Lending, testing::Values("tcp", "ipc"),
                         [](const auto& transport) { return std::string{transport.param}; });

}  // namespace
}  // namespace ventile
