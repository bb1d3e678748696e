#include <ventile/isolation/isolate.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/core/task/fixture.hpp>
#include <ventile/isolation/messages.hpp>
#include <ventile/isolation/server.hpp>
#include <ventile/isolation/slot_process.hpp>
#include <ventile/task/context.hpp>

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// Counts in memory that all processes have.
class Counters {
public:
  static constexpr std::size_t count = 64;
  Counters() {
    void* const memory = mmap(nullptr, sizeof(Cells), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    cells_ = new (memory) Cells{};
  }
  ~Counters() { munmap(cells_, sizeof(Cells)); }
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;
  std::atomic<int>& operator[](std::size_t index) const { return (*cells_)[index]; }

private:
  using Cells = std::array<std::atomic<int>, count>;
  Cells* cells_;
};

class IsolationTest : public testing::Test {
protected:
  // Registers what is asked for, and from then on runs it in processes.
  template <class F>
  std::shared_ptr<TaskJob> isolated(F&& function, TaskTraits traits = {}, IsolationOptions options = {}) {
    tasks.add("function", std::forward<F>(function), traits);
    options.on_gone = [this](const std::string& why) { gone = why; };
    EXPECT_TRUE(isolate(tasks, std::move(options)));
    auto job = std::make_shared<TaskJob>();
    job->id = {1, 2};
    job->function = tasks.find("function");
    return job;
  }
  static std::shared_ptr<TaskJob> indexed(std::shared_ptr<TaskJob> job) {
    job->index.enabled = true;
    return job;
  }

  // How each of `count` indices came out: its result, or what it died or failed of.
  std::vector<std::string> outcomes(const std::shared_ptr<TaskJob>& job, std::uint64_t count) {
    std::vector<std::string> all(count, "nothing");
    for (RunnerEvent& event : here.run(index_batch(job, {0, count}))) {
      if (const auto* retry = std::get_if<Retry>(&event)) {
        all[retry->number] = "retry " + retry->kind;
        continue;
      }
      auto& finished = std::get<Finished>(event);
      for (std::uint32_t i = 0; i < finished.range.count; ++i) {
        const auto failure = std::find_if(finished.failures.begin(), finished.failures.end(),
                                          [&](const Failure& f) { return f.offset == i; });
        std::string& outcome = all[finished.range.first + i];
        EXPECT_EQ(outcome, "nothing") << "it has two";
        if (failure == finished.failures.end()) {
          outcome = std::to_string(*unpack_from<std::int64_t>(payload_of(finished, i)));
        } else {
          const UnpackedError error = unpack_error(payload_of(finished, i));
          outcome = std::string{to_string(failure->outcome)} + " " + error.kind + ": " + error.message;
        }
      }
    }
    return all;
  }

  Counters counters;
  TaskRegistry tasks;
  RunHere here;
  std::string gone;
};

TEST_F(IsolationTest, results_are_those_of_the_function_and_come_from_another_process) {
  const auto job = isolated(
      [](const std::string& text, int more) { return text + std::to_string(more) + "/" + std::to_string(getpid()); });
  const auto value = here.value<std::string>(Payloads{}.task("a", 5).batch(job));
  EXPECT_THAT(value, StartsWith("a5/"));
  EXPECT_NE(value, "a5/" + std::to_string(getpid()));
}

TEST_F(IsolationTest, constants_and_context_are_there) {
  const auto job = isolated([](TaskContext context, const std::string& constant, int value) {
    return constant + std::to_string(value) + " " + std::to_string(context.number()) + " " +
           std::to_string(context.attempt());
  });
  const Buffer constants = pack_to_buffer(std::string{"c"});
  job->constants.assign(constants.data(), constants.data() + constants.size());
  EXPECT_EQ(here.value<std::string>(Payloads{}.task(7).batch(job, 40, 2)), "c7 40 3");
}

TEST_F(IsolationTest, many_short_tasks_all_come_out_in_few_groups) {
  const auto job = indexed(isolated([](std::int64_t i) { return 2 * i; }));
  const std::vector<std::string> all = outcomes(job, 20'000);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::to_string(2 * i));
  EXPECT_LT(here.claims, 2'000U);
}

TEST_F(IsolationTest, a_failure_comes_back_with_its_kind_message_and_detail) {
  const auto job = isolated([](int) -> int { throw TaskFailure{"odd", "as it is", std::string{"detail"}}; });
  const UnpackedError error = here.error(Payloads{}.task(1).batch(job));
  EXPECT_EQ(error.kind, "odd");
  EXPECT_EQ(error.message, "as it is");
  EXPECT_EQ(*unpack_from<std::string>(error.detail), "detail");
}

TEST_F(IsolationTest, a_failure_with_tries_left_is_a_retry) {
  const auto job = indexed(isolated([](std::int64_t) -> int { throw TaskFailure{"odd", ""}; }));
  job->tries_max = 2;
  EXPECT_THAT(outcomes(job, 1), ElementsAre("retry odd"));
}

TEST_F(IsolationTest, a_fold_is_made_of_what_the_processes_return) {
  tasks.add_fold<std::int64_t>("sum", std::plus<>{});
  const auto job = indexed(isolated([](std::int64_t i) { return i; }));
  job->fold = tasks.find_fold("sum");
  std::int64_t sum = 0;
  for (RunnerEvent& event : here.run(index_batch(job, {0, 1000}))) {
    auto& finished = std::get<Finished>(event);
    EXPECT_TRUE(finished.folded);
    sum += *unpack_from<std::int64_t>(payload_of(finished, 0));
  }
  EXPECT_EQ(sum, 499'500);
}

// --- Death -------------------------------------------------------------------------------------------------------

TEST_F(IsolationTest, who_kills_its_process_is_dead_after_three_deaths_alone_and_nobody_else_is) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    ++counters[static_cast<std::size_t>(i)];
    if (i == 20) {
      std::fputs("first line\nthe last words\n", stderr);
      std::abort();
    }
    return i;
  }));
  const std::vector<std::string> all = outcomes(job, 40);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(i == 20 || all[i] == std::to_string(i)) << all[i];
  }
  EXPECT_EQ(all[20], "dead crash: its process ended by signal 6 (Aborted): the last words (3 times)");
  EXPECT_THAT(counters[20].load(), testing::AnyOf(3, 4)) << "once in company, perhaps, and three times alone";
}

TEST_F(IsolationTest, what_must_not_run_twice_is_dead_after_the_first_death) {
  const auto job = indexed(isolated(
      [this](std::int64_t i) {
        ++counters[static_cast<std::size_t>(i)];
        if (i == 2) kill(getpid(), SIGKILL);
        return i;
      },
      {.repeatable = false}));
  EXPECT_THAT(outcomes(job, 4),
              ElementsAre("0", "1", StartsWith("dead crash: its process ended by signal 9 (Killed)"), "3"));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(counters[i], 1);
}

TEST_F(IsolationTest, a_death_that_does_not_happen_again_costs_nothing) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    if (i == 5 && counters[5]++ < 2) std::abort();
    return i;
  }));
  const std::vector<std::string> all = outcomes(job, 10);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], std::to_string(i));
}

TEST_F(IsolationTest, a_task_is_not_blamed_for_what_an_earlier_one_did_to_its_process) {
  static bool damaged = false;
  const auto job = indexed(isolated([this](std::int64_t i) {
    ++counters[static_cast<std::size_t>(i)];
    if (i == 0) damaged = true;
    if (i == 3 && damaged) std::abort();
    return i;
  }));
  EXPECT_THAT(outcomes(job, 5), ElementsAre("0", "1", "2", "3", "4"));
  EXPECT_EQ(counters[3], 2);
}

// Nor if it comes first in its group, and one death is enough.
TEST_F(IsolationTest, a_task_is_not_blamed_for_what_an_earlier_group_did_to_its_process) {
  static bool damaged = false;
  const auto job = indexed(isolated(
      [](std::int64_t i) {
        if (damaged) std::abort();
        damaged = true;
        return i;
      },
      {}, {.crashes_max = 1}));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("0"));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("0"));
}

TEST_F(IsolationTest, the_deaths_of_one_task_do_not_count_against_the_next) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    ++counters[static_cast<std::size_t>(i)];
    if (i == 1 || i == 2) std::abort();
    return i;
  }));
  EXPECT_THAT(outcomes(job, 4), ElementsAre("0", HasSubstr("(3 times)"), HasSubstr("(3 times)"), "3"));
  EXPECT_GE(counters[2], 3);
}

TEST_F(IsolationTest, a_crash_after_a_time_out_is_said_to_be_a_crash) {
  const auto job = indexed(isolated(
      [](std::int64_t i) -> int {
        if (i == 1) std::abort();
        for (;;) pause();
      },
      {.repeatable = false}));
  job->timeout = 100ms;
  EXPECT_THAT(outcomes(job, 2), ElementsAre(StartsWith("failed timeout"), StartsWith("dead crash")));
}

TEST_F(IsolationTest, an_exit_is_a_death_with_its_status) {
  const auto job = indexed(isolated([](std::int64_t) -> int { _exit(3); }, {}, {.crashes_max = 1}));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("dead crash: its process ended with exit status 3"));
}

TEST_F(IsolationTest, what_a_task_has_started_dies_with_its_process) {
  const auto job = indexed(isolated(
      [this](std::int64_t) -> int {
        if (const pid_t child = fork(); child == 0) {
          for (;;) pause();
        } else {
          counters[0] = child;
        }
        std::abort();
      },
      {.repeatable = false}));
  EXPECT_THAT(outcomes(job, 1), ElementsAre(HasSubstr("signal 6")));
  // Until whoever inherits it reaps it, it is no more than an entry in a table.
  const auto runs = [path = "/proc/" + std::to_string(counters[0].load()) + "/stat"] {
    std::string state;
    std::ifstream{path} >> state >> state >> state;
    return !state.empty() && state != "Z" && state != "X";
  };
  while (runs()) std::this_thread::yield();
}

// --- Time --------------------------------------------------------------------------------------------------------

TEST_F(IsolationTest, a_task_over_its_time_out_is_killed_and_the_slot_goes_on) {
  const auto job = indexed(isolated([](std::int64_t i) {
    if (i == 1)
      for (;;) pause();
    return i;
  }));
  job->timeout = 100ms;
  const std::vector<std::string> all = outcomes(job, 3);
  EXPECT_THAT(all, ElementsAre("0", StartsWith("failed timeout: the task ran for 0."), "2"));
  EXPECT_THAT(all[1], HasSubstr("longer than its time-out of 0.100 s"));
}

class IsolatedSlotsTest : public IsolationTest {
protected:
  Events events;
};

TEST_F(IsolatedSlotsTest, a_cancelled_task_sees_its_stop_token) {
  const auto job = indexed(isolated([this](TaskContext context, std::int64_t) {
    counters[0] = 1;
    while (!context.stop_requested()) std::this_thread::yield();
    return std::int64_t{42};
  }));
  Runner runner{{.slots = 1, .run = {.limits = test_limits}}, events.callback()};
  runner.start(index_batch(job, {0, 1}));
  while (counters[0] == 0) std::this_thread::yield();
  events.take(runner.cancel(JobId{1, 2}));
  ASSERT_TRUE(events.wait_for_tasks(1));
  const auto finished = events.all<Finished>();
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_EQ(*unpack_from<std::int64_t>(payload_of(finished[0], 0)), 42);
}

TEST_F(IsolatedSlotsTest, a_cancelled_task_that_does_not_listen_is_killed) {
  const auto job = indexed(isolated(
      [this](std::int64_t) -> int {
        counters[0] = 1;
        for (;;) pause();
      },
      {}, {.kill_after = 10ms}));
  Runner runner{{.slots = 1, .run = {.limits = test_limits}}, events.callback()};
  runner.start(index_batch(job, {0, 1}));
  while (counters[0] == 0) std::this_thread::yield();
  events.take(runner.cancel(JobId{1, 2}));
  ASSERT_TRUE(events.wait_for_tasks(1));
  const auto finished = events.all<Finished>();
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_EQ(unpack_error(payload_of(finished[0], 0)).kind, "cancelled");
}

// What the task of its one slot says of itself first.
Milestone first_milestone(const Runner& runner) {
  for (;;) {
    if (const std::optional<Milestone> seen = runner.status().front().milestone) return *seen;
    std::this_thread::yield();
  }
}

TEST_F(IsolatedSlotsTest, progress_is_seen_while_the_task_runs) {
  const auto job = indexed(isolated([this](TaskContext context, std::int64_t i) {
    context.progress(0.25, "a quarter");
    while (counters[0] == 0) std::this_thread::yield();
    return i;
  }));
  Runner runner{{.slots = 1, .run = {.limits = test_limits}}, events.callback()};
  runner.start(index_batch(job, {0, 1}));
  const Milestone seen = first_milestone(runner);
  EXPECT_EQ(seen.permille, 250U);
  EXPECT_EQ(seen.text, "a quarter");
  counters[0] = 1;
  ASSERT_TRUE(events.wait_for_tasks(1));
}

TEST_F(IsolatedSlotsTest, slots_share_a_batch_and_a_long_task_holds_up_no_others) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    if (i == 100)
      while (counters[0] < 999) std::this_thread::yield();  // Until all others have run.
    ++counters[0];
    return i;
  }));
  Runner runner{{.slots = 2}, events.callback()};
  runner.start(index_batch(job, {0, 1000}));
  std::atomic<bool> over{false};
  std::thread ticking{[&] {
    while (!over) {
      events.take(runner.tick(Clock::now()));
      std::this_thread::sleep_for(1ms);  // As a worker's reactor does.
    }
  }};
  EXPECT_TRUE(events.wait_for_tasks(1000));
  over = true;
  ticking.join();
  EXPECT_GE(counters[0], 1000);
}

// --- Memory ------------------------------------------------------------------------------------------------------

TEST_F(IsolationTest, beyond_its_memory_an_allocation_fails_and_so_does_its_task) {
  const auto job = indexed(isolated(
      [](std::int64_t i) {
        const std::size_t bytes = i == 1 ? std::size_t{256} << 20 : 4096;
        std::vector<char> memory(bytes, 'x');
        return std::accumulate(memory.begin(), memory.begin() + 10, std::int64_t{0});
      },
      {}, {.memory_bytes_max = std::uint64_t{64} << 20}));
  // A sanitizer's allocator does not throw, but ends the process.
  const auto failed = testing::AnyOf(StartsWith("failed std::bad_alloc"), StartsWith("dead crash"));
  EXPECT_THAT(outcomes(job, 3), ElementsAre("1200", failed, "1200"));
}

TEST_F(IsolationTest, a_process_that_leaks_is_replaced_before_it_harms_others) {
  static std::vector<std::vector<char>> leaked;
  const auto job = indexed(isolated(
      [this](std::int64_t) {
        ++counters[0];
        leaked.emplace_back(std::size_t{8} << 20, 'x');
        return std::int64_t{getpid()};
      },
      {}, {.memory_bytes_max = std::uint64_t{64} << 20}));
  std::vector<std::string> processes = outcomes(job, 40);
  std::sort(processes.begin(), processes.end());
  processes.erase(std::unique(processes.begin(), processes.end()), processes.end());
  EXPECT_GE(processes.size(), 5U);
  for (const std::string& process : processes) EXPECT_GT(std::stol(process), 0);
  EXPECT_EQ(counters[0], 40) << "some had no memory, and ran again";
}

TEST_F(IsolationTest, what_must_not_run_twice_does_not_although_it_found_no_memory_in_company) {
  const auto job = indexed(isolated(
      [this](std::int64_t i) {
        ++counters[static_cast<std::size_t>(i)];
        if (i == 2) throw std::bad_alloc{};
        return i;
      },
      {.repeatable = false}, {.memory_bytes_max = std::uint64_t{64} << 20}));
  EXPECT_THAT(outcomes(job, 4), ElementsAre("0", "1", StartsWith("failed std::bad_alloc"), "3"));
  EXPECT_EQ(counters[2], 1);
}

// The machine itself has none left then, and another process would not find any either.
TEST_F(IsolationTest, who_finds_no_memory_although_there_is_no_limit_has_failed_at_once) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    ++counters[static_cast<std::size_t>(i)];
    if (i == 2) throw std::bad_alloc{};
    return i;
  }));
  EXPECT_THAT(outcomes(job, 4), ElementsAre("0", "1", StartsWith("failed std::bad_alloc"), "3"));
  EXPECT_EQ(counters[2], 1);
}

// Of the mapping that holds this address: what this process has for itself alone, in kilobytes.
std::int64_t private_kilobytes_around(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream smaps{"/proc/self/smaps"};
  std::int64_t sum = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    const std::size_t dash = line.find('-');
    if (dash != std::string::npos && line.find(':') > line.find(' ')) {
      inside = std::stoull(line, nullptr, 16) <= wanted && wanted < std::stoull(line.substr(dash + 1), nullptr, 16);
    } else if (inside && line.starts_with("Private_")) {
      sum += std::stoll(line.substr(line.find(':') + 1));
    }
  }
  return sum;
}

TEST_F(IsolationTest, what_was_loaded_before_is_in_memory_once_for_all_processes) {
  constexpr std::size_t kilobytes = 100 * 1024;
  const std::vector<char> table(kilobytes * 1024, 't');
  const auto job = indexed(isolated(
      [&table](std::int64_t) {
        std::int64_t sum = 0;
        for (std::size_t at = 0; at < table.size(); at += 4096) sum += table[at];
        return sum == 0 ? std::int64_t{-1} : private_kilobytes_around(&table[table.size() / 2]);
      },
      {}, {.slots = 2}));
  for (const std::string& kilobytes_of_one : outcomes(job, 2)) {
    EXPECT_GE(std::stoll(kilobytes_of_one), 0);
    EXPECT_LT(std::stoll(kilobytes_of_one), static_cast<std::int64_t>(kilobytes) / 4);
  }
}

// A task of a new process was said to have run since the machine was started, and had failed by its time-out.
TEST(Begun, a_group_begins_with_its_own_task_and_time) {
  isolation::Begun begun;
  const TimePoint start{1h};
  begun.begin_group(1, start);
  begun.begin_task(7, start + 1s);
  EXPECT_FALSE(begun.has_begun(2));
  begun.begin_group(2, start + 2s);
  EXPECT_TRUE(begun.has_begun(2));
  EXPECT_EQ(begun.running(), 0U);
  EXPECT_EQ(begun.running_since(), start + 2s);
}

// --- A process gone mad --------------------------------------------------------------------------------------------

// What a task finds in its process that is not for it: the descriptors of these sockets, and of memory that is shared
// with its slot.
std::vector<int> own_descriptors(const std::function<bool(int)>& wanted) {
  std::vector<int> found;
  for (int number = 3; number < 1024; ++number)
    if (fcntl(number, F_GETFD) >= 0 && wanted(number)) found.push_back(number);
  return found;
}
std::vector<int> own_sockets(int type) {
  return own_descriptors([type](int number) {
    int its_type = 0;
    socklen_t size = sizeof its_type;
    return getsockopt(number, SOL_SOCKET, SO_TYPE, &its_type, &size) == 0 && its_type == type;
  });
}
std::vector<int> own_shared_memory() {
  return own_descriptors([](int number) {
    char target[256] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(number);
    return readlink(link.c_str(), target, sizeof target - 1) > 0 &&
           std::strstr(target, "memfd:ventile-slot") != nullptr;
  });
}

// Task 1 does this to the streams of its process, and does not end.
class MadProcessTest : public IsolationTest {
protected:
  using Misdeed = std::function<void(int stream)>;

  // What becomes of it and of those around it.
  std::vector<std::string> outcomes_around(const Misdeed& misdeed) {
    const auto job = indexed(isolated(
        [misdeed](std::int64_t i) {
          if (i != 1) return i;
          for (const int stream : own_sockets(SOCK_STREAM)) misdeed(stream);
          for (;;) pause();
        },
        {}, {.crashes_max = 1}));
    job->timeout = 30s;  // That it does not end by, if all is well.
    return outcomes(job, 3);
  }
};

TEST_F(MadProcessTest, who_sends_no_message_is_dead_and_nobody_else_is) {
  const auto all = outcomes_around([](int stream) {
    const std::string noise(4096, '\xff');
    (void)!write(stream, noise.data(), noise.size());
  });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

TEST_F(MadProcessTest, who_claims_more_payloads_than_there_are_bytes_is_dead) {
  const auto all = outcomes_around([](int stream) {
    const isolation::Header header{isolation::Kind::results, UINT32_MAX, 1, 8};
    const std::string rest(9, '\x90');
    (void)!write(stream, &header, sizeof header);
    (void)!write(stream, rest.data(), rest.size());
  });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

TEST_F(MadProcessTest, whose_payloads_end_behind_their_section_is_dead) {
  const auto all = outcomes_around([](int stream) {
    const std::uint32_t end = 1'000'000;
    (void)isolation::write_message(stream, isolation::Kind::results, pack_to_buffer(isolation::Ended{}), 1,
                                   {reinterpret_cast<const std::byte*>(&end), sizeof end});
  });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

TEST_F(MadProcessTest, who_says_what_only_its_slot_says_is_dead) {
  const auto all =
      outcomes_around([](int stream) { (void)isolation::write_message(stream, isolation::Kind::job, {}, 0, {}); });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

TEST_F(MadProcessTest, who_has_more_results_than_tasks_is_dead) {
  const auto all = outcomes_around([](int stream) {
    PayloadWriter payloads{0};
    const std::byte nil{0xc0};
    for (int i = 0; i < 1000; ++i) payloads.append(Bytes{&nil, 1});
    const std::uint32_t count = payloads.count();
    (void)isolation::write_message(stream, isolation::Kind::results, pack_to_buffer(isolation::Ended{}), count,
                                   payloads.take());
  });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

TEST_F(MadProcessTest, who_ends_before_its_task_has_is_dead) {
  const auto all = outcomes_around([](int stream) {
    (void)isolation::write_message(stream, isolation::Kind::end, pack_to_buffer(isolation::GroupEnd{}), 0, {});
  });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

TEST_F(MadProcessTest, whose_results_cannot_be_read_is_dead) {
  const auto all = outcomes_around([](int stream) {
    const std::byte nil{0xc0};
    PayloadWriter payloads{0};
    payloads.append(Bytes{&nil, 1});
    (void)isolation::write_message(stream, isolation::Kind::results, Bytes{&nil, 1}, 1, payloads.take());
  });
  EXPECT_THAT(all, ElementsAre("0", StartsWith("dead crash"), "2"));
}

// Gives the result of the task that runs here, and no more of it is wanted.
void give_result(std::int64_t value) {
  PayloadWriter payloads{0};
  payloads.append(pack_to_buffer(value).bytes());
  const Buffer section = payloads.take();
  for (const int stream : own_sockets(SOCK_STREAM))
    (void)isolation::write_message(stream, isolation::Kind::results, pack_to_buffer(isolation::Ended{}), 1, section);
}

// Nobody waits for it then, and its time-out does not count any more.
TEST_F(MadProcessTest, who_does_not_end_although_it_has_its_result_is_not_waited_for) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    if (counters[0]++ != 0) return i;
    give_result(7);
    for (;;) pause();
  }));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("7"));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("0"));
}

TEST_F(MadProcessTest, whose_end_cannot_be_read_is_let_go) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    if (counters[0]++ != 0) return i;
    give_result(7);
    const std::byte nil{0xc0};
    for (const int stream : own_sockets(SOCK_STREAM))
      (void)isolation::write_message(stream, isolation::Kind::end, Bytes{&nil, 1}, 0, {});
    for (;;) pause();
  }));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("7"));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("0"));
}

// Its slot would be ended by SIGBUS when it looks next.
TEST_F(MadProcessTest, nobody_takes_away_memory_that_a_slot_looks_at) {
  const auto job = indexed(isolated([](std::int64_t) {
    std::int64_t refused = 0;
    for (const int memory : own_shared_memory()) refused += ftruncate(memory, 0) != 0 && errno == EPERM ? 1 : 0;
    return refused;
  }));
  EXPECT_THAT(outcomes(job, 2), ElementsAre("1", "1"));
}

// A process that says in that memory that it runs a task which it was never given, and ends.
void die_without_a_reason() {
  for (const int memory : own_shared_memory()) {
    void* const begun = mmap(nullptr, sizeof(isolation::Begun), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (begun != MAP_FAILED) static_cast<isolation::Begun*>(begun)->offset = 1000;
  }
  _exit(3);
}

// Its slot would look for the culprit for ever.
TEST_F(MadProcessTest, who_hides_what_it_died_of_is_given_up_after_three_deaths) {
  const auto job = indexed(isolated([this](std::int64_t) -> int {
    ++counters[0];
    die_without_a_reason();
    return 0;
  }));
  EXPECT_THAT(outcomes(job, 1), ElementsAre(StartsWith("failed isolation: the processes of slots do not live")));
  EXPECT_EQ(counters[0], 3);
  EXPECT_THAT(gone, HasSubstr("ended with exit status 3"));
}

TEST_F(MadProcessTest, deaths_without_a_reason_are_forgotten_when_a_task_has_ended) {
  const auto job = indexed(isolated([this](std::int64_t i) {
    if (i < 3 && counters[static_cast<std::size_t>(i)]++ == 0) die_without_a_reason();
    return i;
  }));
  EXPECT_THAT(outcomes(job, 4), ElementsAre("0", "1", "2", "3"));
  EXPECT_EQ(gone, "");
}

TEST_F(IsolatedSlotsTest, progress_that_cannot_be_the_tasks_is_not_seen) {
  const auto job = indexed(isolated([this](TaskContext context, std::int64_t i) {
    const isolation::Said too_long{0, 900, 5000, {}};
    const isolation::Said of_another{7, 900, 0, {}};
    const isolation::Said cut{0, 900, 0, {}};
    for (const int orders : own_sockets(SOCK_SEQPACKET)) {
      (void)send(orders, &too_long, sizeof too_long, 0);
      (void)send(orders, &of_another, sizeof of_another, 0);
      (void)send(orders, &cut, offsetof(isolation::Said, text), 0);
    }
    context.progress(0.25, "a quarter");
    while (counters[0] == 0) std::this_thread::yield();
    return i;
  }));
  Runner runner{{.slots = 1, .run = {.limits = test_limits}}, events.callback()};
  runner.start(index_batch(job, {0, 1}));
  const Milestone seen = first_milestone(runner);
  EXPECT_EQ(seen.permille, 250U);
  counters[0] = 1;
  ASSERT_TRUE(events.wait_for_tasks(1));
}

// --- What a process has from its node, and its node from it ---

// It could speak for its siblings, or ask for more of them.
TEST_F(IsolationTest, a_process_has_no_socket_of_packets_but_its_own) {
  const auto job = indexed(isolated(
      [](std::int64_t) { return static_cast<std::int64_t>(own_sockets(SOCK_SEQPACKET).size()); }, {}, {.slots = 3}));
  EXPECT_THAT(outcomes(job, 2), ElementsAre("1", "1"));
}

TEST_F(IsolationTest, a_ctrl_c_is_for_the_node_alone) {
  const auto job = indexed(isolated([](std::int64_t i) { return std::int64_t{getpgid(i == 0 ? getppid() : 0)}; }));
  const std::string ours = std::to_string(getpgrp());
  EXPECT_THAT(outcomes(job, 2), testing::Each(testing::Ne(ours)));
}

TEST_F(IsolationTest, what_the_node_does_not_heed_a_process_does) {
  const auto before = std::signal(SIGUSR1, SIG_IGN);
  const auto job = indexed(isolated(
      [](std::int64_t i) {
        raise(SIGUSR1);
        return i;
      },
      {}, {.crashes_max = 1}));
  EXPECT_THAT(outcomes(job, 1), ElementsAre(StartsWith("dead crash: its process ended by signal 10")));
  std::signal(SIGUSR1, before);
}

TEST_F(IsolationTest, what_the_node_has_not_written_yet_is_written_once) {
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::fputs("once", file);
  const auto job = indexed(isolated([](std::int64_t i) { return i; }));
  EXPECT_THAT(outcomes(job, 1), ElementsAre("0"));
  std::fflush(file);
  EXPECT_EQ(std::ftell(file), 4);
  char text[16] = {};
  std::rewind(file);
  EXPECT_EQ(std::fread(text, 1, sizeof text, file), 4U);
  std::fclose(file);
}

TEST_F(IsolationTest, the_node_hears_the_signals_that_it_heard_before) {
  sigset_t ours;
  sigset_t before;
  sigset_t after;
  sigemptyset(&ours);
  sigaddset(&ours, SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &ours, &before);
  isolated([](std::int64_t i) { return i; });
  pthread_sigmask(SIG_SETMASK, &before, &after);
  for (int signal = 1; signal < NSIG; ++signal)
    EXPECT_EQ(sigismember(&after, signal), sigismember(&ours, signal)) << signal;
}

// As long as it lives no descriptor can be opened.
class NoDescriptors {
public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{0, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
  rlimit before_{};
};

TEST_F(IsolationTest, without_descriptors_nothing_is_isolated) {
  tasks.add("function", [](std::int64_t i) { return i; });
  const Status isolated_then = [&] {
    const NoDescriptors none;
    return isolate(tasks, {});
  }();
  ASSERT_FALSE(isolated_then);
  EXPECT_THAT(isolated_then.error().message, StartsWith("no socket for the process that forks slots"));
}

// The process that forks, asked by hand.
class ServerTest : public testing::Test {
protected:
  ServerTest() {
    tasks.add("function", [](std::int64_t i) {
      // Something that a task leaves behind, and that has the pipe.
      if (i == leaves_something && fork() == 0)
        for (;;) pause();
      return i;
    });
    EXPECT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    isolation::Server server = *isolation::start_server(tasks, {});
    server_process = server.process;
    requests = server.requests.get();
    processes.emplace(std::move(server),
                      IsolationOptions{.slots = 1, .on_gone = [this](const std::string& why) { gone = why; }});
    job->id = {1, 2};
    job->function = tasks.find("function");
    job->index.enabled = true;
  }
  ~ServerTest() override {
    processes.reset();
    for (const int end : pipe_ends) close(end);
  }

  // Whether it runs what it is sent.
  bool works(isolation::SlotProcess& process, std::uint64_t index = 0) {
    isolation::Incoming message;
    return process.send("function", *index_batch(job, {index, 1}), 0, 1, 0) &&
           process.wait(message, never) == isolation::SlotProcess::Happened::results &&
           process.wait(message, never) == isolation::SlotProcess::Happened::group_end;
  }
  // Nobody has the pipe's other end any more.
  bool pipe_ends_here() {
    close(std::exchange(pipe_ends[1], -1));
    char nothing = 0;
    return read(pipe_ends[0], &nothing, 1) == 0;
  }
  void ask_with(const std::vector<int>& descriptors) const {
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
      const std::size_t bytes = descriptors.size() * sizeof(int);
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(rights), descriptors.data(), bytes);
    }
    ASSERT_EQ(sendmsg(requests, &message, MSG_NOSIGNAL), 1);
  }

  static constexpr std::int64_t leaves_something = 1;
  TaskRegistry tasks;
  int pipe_ends[2] = {-1, -1};
  pid_t server_process = 0;
  int requests = -1;
  std::string gone;
  std::optional<isolation::SlotProcesses> processes;
  std::shared_ptr<TaskJob> job = std::make_shared<TaskJob>();
};

// Out of descriptors it gets some of them, or none. It once kept those that it got, so that a slot waited for ever for
// a process that was never made.
TEST_F(ServerTest, a_request_that_has_lost_descriptors_is_dropped_with_those_that_came) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ask_with({});
  ask_with({ends[1]});
  ask_with({ends[1], ends[1], ends[1], ends[1]});
  close(ends[1]);
  char nothing = 0;
  EXPECT_EQ(read(ends[0], &nothing, 1), 0);
  close(ends[0]);
  const auto process = processes->take(true);
  EXPECT_TRUE(works(*process));
}

TEST_F(ServerTest, what_a_task_has_left_behind_ends_when_the_server_is_let_go) {
  const auto process = processes->take(true);
  ASSERT_TRUE(works(*process, leaves_something));
  processes.reset();
  EXPECT_TRUE(pipe_ends_here());
}

TEST_F(ServerTest, a_process_that_goes_with_the_server_was_killed) {
  const auto process = processes->take(true);
  ASSERT_TRUE(works(*process));
  kill(server_process, SIGKILL);
  isolation::Incoming message;
  EXPECT_EQ(process->wait(message, never), isolation::SlotProcess::Happened::died);
  EXPECT_EQ(process->how_it_ended(), "ended by signal 9 (Killed)");
}

TEST_F(ServerTest, without_descriptors_there_is_no_process_and_with_them_again) {
  {
    const NoDescriptors none;
    EXPECT_NE(processes->take(true), nullptr) << "made ahead";
    EXPECT_EQ(processes->take(true), nullptr);
  }
  EXPECT_THAT(gone, StartsWith("no process can be made for a slot: the sockets of a slot's process"));
  EXPECT_TRUE(works(*processes->take(true)));
}

TEST_F(ServerTest, no_more_processes_are_kept_than_there_are_slots) {
  auto first = processes->take(false);
  auto second = processes->take(false);
  ASSERT_TRUE(works(*second));
  processes->give_back(std::move(first));
  processes->give_back(std::move(second));
  EXPECT_EQ(processes->take(false)->groups(), 0U);
}

TEST_F(ServerTest, a_process_in_which_something_ran_is_not_fresh) {
  auto used = processes->take(false);
  ASSERT_TRUE(works(*used));
  processes->give_back(std::move(used));
  EXPECT_EQ(processes->take(true)->groups(), 0U);
  EXPECT_EQ(processes->take(false)->groups(), 1U);
}

// --- The end -----------------------------------------------------------------------------------------------------

TEST_F(IsolationTest, when_the_node_ends_its_processes_end_whatever_they_do) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t node = fork();
  if (node == 0) {
    close(ends[0]);
    const auto job = indexed(isolated([this](std::int64_t) -> int {
      counters[0] = 1;
      for (;;) pause();
    }));
    (void)outcomes(job, 1);
    _exit(0);
  }
  close(ends[1]);
  while (counters[0] == 0) std::this_thread::yield();
  kill(node, SIGKILL);
  waitpid(node, nullptr, 0);
  char nothing = 0;
  EXPECT_EQ(read(ends[0], &nothing, 1), 0) << "everybody who had the pipe has ended";
  close(ends[0]);
}

TEST_F(IsolationTest, without_the_process_that_forks_the_node_is_told_to_end) {
  const auto job = indexed(isolated([](std::int64_t i) {
    if (i == 1) kill(getppid(), SIGKILL);
    if (i == 1)
      for (;;) pause();
    return i;
  }));
  const std::vector<std::string> all = outcomes(job, 2);
  EXPECT_EQ(all[0], "0");
  EXPECT_THAT(all[1], StartsWith("failed isolation"));
  EXPECT_THAT(gone, HasSubstr("no process can be made for a slot"));
}

}  // namespace
}  // namespace ventile
