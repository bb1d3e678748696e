// Large payloads between processes of one machine, which lend them to each other instead of sending them: whoever is
// killed, and whatever a stranger says, the results are the same.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ventile/net/context.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/wire/codec.hpp>

#include <tests/system/cluster.hpp>

namespace ventile {
namespace {

constexpr int tasks = 300;
constexpr std::size_t payload_bytes = 300'000;

std::string line_of(int number) {
  std::string line = std::to_string(number);
  return line + std::string(payload_bytes - line.size(), static_cast<char>('a' + number % 26));
}

// The input of a job, which waits while the job's window is full.
class Lines {
public:
  Lines() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    input_ = ends[0];
    lines_ = ends[1];
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    close();
    ::close(input_);
  }

  int input() const { return input_; }
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
  void close() {
    if (lines_ >= 0) ::close(std::exchange(lines_, -1));
  }

private:
  int input_ = -1;
  int lines_ = -1;
};

// The inodes of the memory that it lends, or, mapped for reading only, that it borrows.
std::set<std::string> memory_of(pid_t process, const std::string& mode) {
  std::set<std::string> inodes;
  std::istringstream maps{read_file("/proc/" + std::to_string(process) + "/maps")};
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields{line};
    std::string addresses, permissions, offset, device, inode, path;
    fields >> addresses >> permissions >> offset >> device >> inode >> path;
    if (path == "/memfd:ventile-lent" && permissions == mode) inodes.insert(inode);
  }
  return inodes;
}
std::set<std::string> lent_by(pid_t process) { return memory_of(process, "rw-s"); }
std::set<std::string> borrowed_by(pid_t process) { return memory_of(process, "r--s"); }
bool borrows(pid_t process) { return !borrowed_by(process).empty(); }
bool borrows_of(pid_t process, pid_t lender) {
  const std::set<std::string> borrowed = borrowed_by(process);
  const std::set<std::string> lent = lent_by(lender);
  return std::any_of(lent.begin(), lent.end(), [&](const std::string& inode) { return borrowed.contains(inode); });
}

// Of this process, with descriptors of something else.
std::string forged_note() {
  std::string forged = "lentVNTL" + std::string(40, '\1');
  const pid_t lender = getpid();
  const int descriptor = STDERR_FILENO;
  std::memcpy(forged.data() + 24, &lender, sizeof lender);
  std::memcpy(forged.data() + 28, &descriptor, sizeof descriptor);
  std::memcpy(forged.data() + 32, &descriptor, sizeof descriptor);
  return forged;
}

class Lending : public SystemTest, public testing::WithParamInterface<const char*> {
protected:
  Lending() {
    if (std::string{GetParam()} == "ipc") address_ = "ipc://" + path("job");
    for (int i = 0; i < tasks; ++i) expected.push_back(line_of(i));
    std::sort(expected.begin(), expected.end());
  }

  Process& start_job(const Arguments& more = {}) {
    Arguments arguments{"--format", "lines", "--function", "echo"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start_ventilator(arguments, lines.input());
  }

  void expect_all_results() const { EXPECT_TRUE(sorted_lines(path("results")) == expected); }

  Lines lines;
  std::vector<std::string> expected;
};

TEST_P(Lending, results_are_those_of_a_job_whose_workers_are_killed) {
  Process& ventilator = start_job();
  Process& sink = start_sink();
  Process* victim = &start_worker();
  Process& other = start_worker();
  for (int round = 0; round < 3; ++round) {
    lines.feed(round * tasks / 4, (round + 1) * tasks / 4);
    victim->kill();
    EXPECT_EQ(victim->wait(), -SIGKILL);
    victim = &start_worker();
  }
  lines.feed(3 * tasks / 4, tasks);
  EXPECT_TRUE(borrows(sink.pid()));
  EXPECT_TRUE(borrows(other.pid()));
  lines.close();
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
    lines.feed(round * tasks / 4, (round + 1) * tasks / 4);
    sink->kill();
    EXPECT_EQ(sink->wait(), -SIGKILL);
    sink = &start_sink(collects);
  }
  lines.feed(3 * tasks / 4, tasks);
  lines.close();
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
  lines.feed(0, tasks / 2);
  Context context;
  PushSocket push{context};
  ASSERT_TRUE(push.connect(*Endpoint::parse(results)));
  for (int i = 0; i < 2; ++i) {
    Frame note = Frame::copy_of(as_bytes(forged_note()));
    while (push.send(note) == SendOutcome::would_block) std::this_thread::yield();
  }
  sink.line_with("Nothing is lent to this sink from now on.");
  lines.feed(tasks / 2, tasks);
  lines.close();
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
  lines.feed(0, tasks);
  EXPECT_FALSE(borrows(sink.pid()));
  EXPECT_FALSE(borrows(worker.pid()));
  lines.close();
  EXPECT_EQ(exact_summary(ventilator).done, std::uint64_t{tasks});
  EXPECT_EQ(sink.wait(), 0);
  expect_all_results();
}

// A broker reads what its clients lend, and hands on to them what its workers lend.
class LendingByBroker : public ClusterTest {
protected:
  Process& start_echo() {
    return start_map({"--function", "echo", "--format", "lines", "--output-format", "raw", "--json"}, lines.input());
  }
  void expect_all_results(Process& map) {
    lines.feed(tasks / 2, tasks);
    lines.close();
    EXPECT_EQ(map.wait(), 0) << map.errors();
    const Summary summary = summary_in(map.errors());
    EXPECT_EQ(summary.done, std::uint64_t{tasks});
    EXPECT_EQ(summary.lost, 0U);
    EXPECT_EQ(summary.counted_twice, 0U);
    std::vector<std::string> expected;
    for (int i = 0; i < tasks; ++i) expected.push_back(line_of(i));
    EXPECT_TRUE(lines_of_text(map.output()) == expected);
  }

  Lines lines;
};

TEST_F(LendingByBroker, tasks_and_results_are_lent_on_their_way) {
  Process& up = start_up();
  Process& map = start_echo();
  lines.feed(0, tasks / 2);
  map.output_lines(1);
  EXPECT_TRUE(borrows_of(up.pid(), map.pid()));
  int handed_on = 0;
  for (const Witness& worker : children_of(up.pid(), 2)) {
    EXPECT_TRUE(borrows_of(worker.pid(), up.pid()));
    EXPECT_TRUE(borrows_of(up.pid(), worker.pid()));
    if (borrows_of(map.pid(), worker.pid())) ++handed_on;
  }
  EXPECT_GE(handed_on, 1);
  expect_all_results(map);
}

TEST_F(LendingByBroker, results_are_those_of_a_job_whose_workers_are_killed) {
  Process& up = start_up();
  Process& map = start_echo();
  for (int round = 0; round < 3; ++round) {
    lines.feed(round * tasks / 6, (round + 1) * tasks / 6);
    map.output_lines(1);
    const std::vector<Witness> workers = children_of(up.pid(), 2);
    workers[0].signal(SIGKILL);
    EXPECT_TRUE(workers[0].sees_the_end());
  }
  expect_all_results(map);
}

TEST_F(LendingByBroker, a_note_that_leads_to_nothing_ends_it_for_its_sender_and_loses_no_result) {
  Process& up = start_up();
  Process& map = start_echo();
  lines.feed(0, tasks / 2);
  Context context;
  DealerSocket socket{context};
  ASSERT_TRUE(socket.connect(*Endpoint::parse(address)));
  Hello hello;
  hello.role = Role::client;
  hello.node = {3, 4};
  hello.name = "a stranger";
  hello.machine = machine_of_process();
  for (const bool note : {false, true, true}) {
    Frame frame = note ? Frame::copy_of(as_bytes(forged_note())) : Frame{encode({{}, {5}, {}, 1}, hello)};
    while (socket.send(frame) == SendOutcome::would_block) std::this_thread::yield();
  }
  up.line_with("From now on nothing is lent by a stranger.");
  expect_all_results(map);
}

TEST_F(LendingByBroker, can_be_switched_off) {
  Process& up = start_up({"-w", "2", "-j", "1", "--no-shared-memory"});
  Process& map = start_echo();
  lines.feed(0, tasks / 2);
  map.output_lines(1);
  EXPECT_FALSE(borrows(up.pid()));
  EXPECT_FALSE(borrows(map.pid()));
  expect_all_results(map);
}

INSTANTIATE_TEST_SUITE_P(Large, Lending, testing::Values("tcp", "ipc"),
                         [](const auto& transport) { return std::string{transport.param}; });

}  // namespace
}  // namespace ventile
