#include <ventile/task/zygote.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <thread>

#include "tests/support/fifo.hpp"

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Optional;

class ZygoteTest : public testing::Test {
protected:
  Zygote zygote = *Zygote::start();

  ProcessOutcome run(const Command& command, std::stop_token stop = {}) {
    Result<ProcessOutcome> outcome = zygote.run(command, std::move(stop));
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome ? *outcome : ProcessOutcome{};
  }
  static Command shell(std::string script) { return {.argv = {"sh", "-c", std::move(script)}}; }
};

TEST_F(ZygoteTest, an_exit_code_comes_back) {
  EXPECT_EQ(run({.argv = {"true"}}).exit_code, 0);
  const ProcessOutcome outcome = run(shell("echo out; echo err >&2; exit 3"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.standard_output, "out\n");
  EXPECT_EQ(outcome.stderr_tail, "err\n");
  EXPECT_EQ(outcome.start_error, std::nullopt);
  EXPECT_FALSE(outcome.timed_out || outcome.stopped || outcome.stdout_truncated);
}

TEST_F(ZygoteTest, a_signal_comes_back) {
  const ProcessOutcome outcome = run(shell("kill -SEGV $$"));
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_EQ(outcome.exit_code, -1);
}

TEST_F(ZygoteTest, what_it_used_comes_back) {
  const ProcessOutcome outcome = run(shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"));
  EXPECT_GT(outcome.user_seconds + outcome.system_seconds, 0);
  EXPECT_GT(outcome.wall_seconds, 0);
  EXPECT_GT(outcome.max_rss_kilobytes, 0);
}

TEST_F(ZygoteTest, large_output_comes_back_whole) {
  EXPECT_EQ(run(shell("head -c 5000000 /dev/zero")).standard_output, std::string(5'000'000, '\0'));
}

TEST_F(ZygoteTest, output_beyond_the_limit_is_dropped_and_the_command_goes_on) {
  Command command = shell("seq 100000; exit 7");
  command.stdout_bytes_max = 6;
  const ProcessOutcome outcome = run(command);
  EXPECT_EQ(outcome.standard_output, "1\n2\n3\n");
  EXPECT_TRUE(outcome.stdout_truncated);
  EXPECT_EQ(outcome.exit_code, 7);
}

TEST_F(ZygoteTest, output_can_be_had_as_it_comes) {
  std::string seen;
  std::string seen_errors;
  Command command = shell("echo one; echo bad >&2; seq 100000");
  command.on_stdout = [&](std::string_view chunk) {
    seen += chunk;
    return Status{};
  };
  command.on_stderr = [&](std::string_view chunk) {
    seen_errors += chunk;
    return Status{};
  };
  const ProcessOutcome outcome = run(command);
  EXPECT_EQ(outcome.standard_output, "");
  EXPECT_EQ(seen.size(), 4U + 588'895U);
  EXPECT_EQ(seen_errors, "bad\n");
}

TEST_F(ZygoteTest, a_command_whose_output_nobody_can_take_is_killed) {
  Command command = shell("while :; do echo more; done");
  command.on_stdout = [](std::string_view) { return Status{Error{Code::unavailable, "no room"}}; };
  const ProcessOutcome outcome = run(command);
  EXPECT_EQ(outcome.signal, SIGKILL);
  EXPECT_THAT(outcome.output_error, Optional(std::string{"no room"}));
}

TEST_F(ZygoteTest, a_time_limit_that_becomes_known_later_ends_the_command) {
  int asked = 0;
  Command command{.argv = {"sleep", "1000"}};
  command.time_limit = [&] { return ++asked < 2 ? Duration::zero() : Duration{1ms}; };
  const ProcessOutcome outcome = run(command);
  EXPECT_TRUE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, SIGTERM);
}

TEST_F(ZygoteTest, a_command_can_be_nicer_than_its_node) {
  Command command{.argv = {"nice"}};
  command.nice = 7;
  const int here = std::stoi(run({.argv = {"nice"}}).standard_output);
  EXPECT_EQ(std::stoi(run(command).standard_output), std::min(here + 7, 19));
}

TEST_F(ZygoteTest, output_of_exactly_the_limit_is_not_truncated) {
  Command command{.argv = {"echo", "12345"}};
  command.stdout_bytes_max = 6;
  EXPECT_FALSE(run(command).stdout_truncated);
}

TEST_F(ZygoteTest, of_stderr_the_end_is_kept) {
  Command command = shell("seq 100000 >&2");
  command.stderr_tail_bytes = 14;
  EXPECT_EQ(run(command).stderr_tail, "\n99999\n100000\n");
}

TEST_F(ZygoteTest, both_pipes_full_at_once_do_not_block) {
  Command command = shell("head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait");
  command.stderr_tail_bytes = 4'000'000;
  const ProcessOutcome outcome = run(command);
  EXPECT_EQ(outcome.standard_output.size(), 3'000'000U);
  EXPECT_EQ(outcome.stderr_tail.size(), 3'000'000U);
}

TEST_F(ZygoteTest, input_larger_than_a_pipe_goes_in_and_comes_out) {
  Command command{.argv = {"cat"}};
  for (int i = 0; i < 300'000; ++i) command.standard_input += std::to_string(i);
  EXPECT_EQ(run(command).standard_output, command.standard_input);
}

TEST_F(ZygoteTest, input_that_is_not_read_does_no_harm) {
  EXPECT_EQ(run({.argv = {"true"}, .standard_input = std::string(1'000'000, 'x')}).exit_code, 0);
}

TEST_F(ZygoteTest, without_input_a_reader_sees_the_end) { EXPECT_EQ(run({.argv = {"cat"}}).exit_code, 0); }

TEST_F(ZygoteTest, the_environment_is_inherited_and_added_to) {
  setenv("VENTILE_TEST_KEPT", "kept", 1);
  setenv("VENTILE_TEST_REPLACED", "old", 1);
  zygote = *Zygote::start();
  Command command =
      shell("echo $VENTILE_TEST_KEPT $VENTILE_TEST_REPLACED \"$VENTILE_TEST_ADDED\"; env | grep -c TEST_REPLACED");
  command.environment = {{"VENTILE_TEST_REPLACED", "new"}, {"VENTILE_TEST_ADDED", "a=b  c"}};
  EXPECT_EQ(run(command).standard_output, "kept new a=b  c\n1\n");
}

TEST_F(ZygoteTest, it_runs_where_it_is_told) {
  EXPECT_EQ(run({.argv = {"pwd"}, .directory = "/usr"}).standard_output, "/usr\n");
}

TEST_F(ZygoteTest, a_program_is_sought_in_the_PATH_that_it_will_have) {
  const Fifo place;
  const std::string program = place.folder() + "/ventile-test-program";
  std::ofstream{program} << "echo \"no first line with #! $1\"\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const Command command{.argv = {"ventile-test-program", "x"}, .environment = {{"PATH", "/nowhere:" + place.folder()}}};
  EXPECT_EQ(run(command).standard_output, "no first line with #! x\n");
}

TEST_F(ZygoteTest, a_program_that_is_not_there_is_named) {
  EXPECT_THAT(run({.argv = {"no-such-program"}}).start_error, Optional(HasSubstr("'no-such-program' in PATH")));
  EXPECT_THAT(run({.argv = {"/no/such"}}).start_error, Optional(HasSubstr("'/no/such': No such file")));
  EXPECT_THAT(run({.argv = {""}}).start_error, Optional(HasSubstr("''")));
  EXPECT_THAT(run({}).start_error, Optional(HasSubstr("empty")));
}

TEST_F(ZygoteTest, a_file_that_is_no_program_is_named) {
  EXPECT_THAT(run({.argv = {"/etc/passwd"}}).start_error, Optional(HasSubstr("'/etc/passwd': Permission denied")));
}

TEST_F(ZygoteTest, a_directory_that_is_not_there_is_named) {
  EXPECT_THAT(run({.argv = {"true"}, .directory = "/nowhere"}).start_error,
              Optional(HasSubstr("directory '/nowhere'")));
}

TEST_F(ZygoteTest, arguments_that_are_too_large_are_an_outcome) {
  EXPECT_THAT(run({.argv = {"true", std::string(200'000, 'x')}}).start_error,
              Optional(HasSubstr("too large for the system")));
  EXPECT_THAT(run({.argv = {"true", std::string(command_bytes_max, 'x')}}).start_error,
              Optional(HasSubstr("6291462 bytes")));
  EXPECT_EQ(run({.argv = {"true"}}).exit_code, 0);
}

TEST_F(ZygoteTest, as_many_arguments_as_the_system_takes_are_passed) {
  Command command{.argv = {"sh", "-c", "echo $#", "sh"}};
  command.argv.resize(command.argv.size() + 50'000, "argument");
  EXPECT_EQ(run(command).standard_output, "50000\n");
}

TEST_F(ZygoteTest, a_NUL_or_a_bad_name_is_refused) {
  EXPECT_THAT(run({.argv = {"echo", std::string("a\0b", 3)}}).start_error, Optional(HasSubstr("NUL")));
  EXPECT_THAT(run({.argv = {"true"}, .environment = {{"A=B", "c"}}}).start_error, Optional(HasSubstr("'A=B'")));
}

TEST_F(ZygoteTest, no_descriptor_leaks_into_a_command) {
  const int before = dup(STDOUT_FILENO);
  const Zygote later = *Zygote::start();
  const int after = dup(STDOUT_FILENO);
  EXPECT_EQ(later.run({.argv = {"ls", "/proc/self/fd"}})->standard_output,
            "0\n1\n2\n3\n");  // 3 is the folder it reads.
  EXPECT_EQ(later.run({.argv = {"ls", "/proc/self/fd"}, .standard_input = "x"})->standard_output, "0\n1\n2\n3\n");
  close(before);
  close(after);
}

TEST_F(ZygoteTest, a_command_has_no_signal_blocked_or_ignored) {
  const auto old = std::signal(SIGPIPE, SIG_IGN);
  const Zygote later = *Zygote::start();
  EXPECT_EQ(later.run({.argv = {"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"}})->standard_output,
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  std::signal(SIGPIPE, old);
}

TEST_F(ZygoteTest, a_command_leads_a_group_of_its_own_and_the_node_keeps_its_signals) {
  sigset_t before;
  sigprocmask(SIG_SETMASK, nullptr, &before);
  EXPECT_EQ(sigismember(&before, SIGTERM), 0);
  const std::string pid_and_group = run({.argv = {"cut", "-d ", "-f1,5", "/proc/self/stat"}}).standard_output;
  const std::string pid = pid_and_group.substr(0, pid_and_group.find(' '));
  EXPECT_EQ(pid_and_group, pid + " " + pid + "\n");
}

TEST_F(ZygoteTest, a_command_over_its_time_ends_with_its_group) {
  Fifo fifo;
  Command command = shell("exec 3>" + fifo.path() + "; sleep 1000 & echo -n r >&3; sleep 1000");
  command.timeout = 300ms;
  const int holder = fifo.writer();
  const ProcessOutcome outcome = run(command);
  close(holder);
  EXPECT_TRUE(outcome.timed_out);
  EXPECT_FALSE(outcome.stopped);
  EXPECT_EQ(outcome.signal, SIGTERM);
  while (!fifo.has_ended()) {
  }
}

TEST_F(ZygoteTest, a_command_that_ignores_TERM_is_killed_after_the_grace_with_its_children) {
  Fifo fifo;
  Command command =
      shell("trap '' TERM; exec 3>" + fifo.path() + "; sleep 1000 & echo -n r >&3; echo kept; sleep 1000");
  command.kill_after = 50ms;
  std::stop_source stop;
  const int holder = fifo.writer();
  std::jthread stopper{[&] {
    EXPECT_EQ(fifo.next(), 'r');
    stop.request_stop();
  }};
  const ProcessOutcome outcome = run(command, stop.get_token());
  stopper.join();
  close(holder);
  EXPECT_TRUE(outcome.stopped);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, SIGKILL);
  EXPECT_TRUE(fifo.has_ended());
}

TEST_F(ZygoteTest, a_command_may_answer_TERM_and_exit) {
  Fifo fifo;
  Command command = shell("trap 'echo bye; exit 5' TERM; echo -n r >" + fifo.path() + "; sleep 1000 & wait");
  command.kill_after = 1000s;
  std::stop_source stop;
  std::jthread stopper{[&, holder = fifo.writer()] {
    EXPECT_EQ(fifo.next(), 'r');
    stop.request_stop();
    close(holder);
  }};
  const ProcessOutcome outcome = run(command, stop.get_token());
  EXPECT_TRUE(outcome.stopped);
  EXPECT_EQ(outcome.exit_code, 5);
  EXPECT_EQ(outcome.standard_output, "bye\n");
}

TEST_F(ZygoteTest, a_stop_ends_one_command_only_and_the_line_is_used_again) {
  Fifo fifo;
  std::stop_source stop;
  const int holder = fifo.writer();
  std::jthread stopper{[&] {
    EXPECT_EQ(fifo.next(), 'r');
    stop.request_stop();
  }};
  EXPECT_TRUE(run(shell("echo -n r >" + fifo.path() + "; exec sleep 1000"), stop.get_token()).stopped);
  stopper.join();
  close(holder);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(run({.argv = {"true"}}, std::stop_source{}.get_token()).stopped);
}

TEST_F(ZygoteTest, nothing_starts_once_a_stop_is_requested) {
  std::stop_source stop;
  stop.request_stop();
  Fifo place;
  EXPECT_TRUE(run({.argv = {"touch", place.folder() + "/touched"}}, stop.get_token()).stopped);
  EXPECT_FALSE(std::filesystem::exists(place.folder() + "/touched"));
}

TEST_F(ZygoteTest, what_a_command_leaves_in_its_group_is_killed) {
  Fifo fifo;
  const ProcessOutcome outcome = run(shell("exec 3<>" + fifo.path() + "; sleep 1000 & echo done"));
  EXPECT_EQ(outcome.standard_output, "done\n");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(fifo.has_ended());
}

TEST_F(ZygoteTest, a_daemon_that_keeps_stdout_open_does_not_hang_the_slot) {
  const Fifo fifo;
  const int holder = fifo.writer();
  const std::string daemon = "setsid sh -c 'echo $$ >" + fifo.path() + "; exec sleep 1000'";
  const ProcessOutcome outcome = run(shell(daemon + " & read pid <" + fifo.path() + "; echo $pid"));
  close(holder);
  const pid_t pid = std::stoi("0" + outcome.standard_output);
  ASSERT_GT(pid, 1);
  EXPECT_EQ(kill(pid, SIGKILL), 0);
}

TEST_F(ZygoteTest, a_hundred_commands_run_at_once) {
  Fifo fifo;
  const int release = fifo.writer();
  std::vector<std::jthread> slots;
  std::array<std::string, 100> outputs;
  // Each command says that it runs and waits for a line at the gate; all must be there at the same time.
  const std::string gate = fifo.folder() + "/gate";
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    slots.emplace_back([&, i] {
      outputs[i] =
          run(shell("echo -n r >" + fifo.path() + "; read x <" + gate + "; echo " + std::to_string(i))).standard_output;
    });
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) ASSERT_EQ(fifo.next(), 'r');
  const int opened = open(gate.c_str(), O_RDWR);
  const std::string lines(outputs.size(), '\n');
  ASSERT_EQ(write(opened, lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
  slots.clear();
  close(opened);
  close(release);
  for (std::size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i], std::to_string(i) + "\n");
}

// --- A zygote with fewer lines than commands -------------------------------------------------------------------------

class ZygoteQueueTest : public testing::Test {
protected:
  Zygote zygote = *Zygote::start({.lines_max = 1, .line_variables = {{"LINE", 7}}});
  Fifo fifo;
  Holder listener{fifo};
  Fifo gate;
  Holder gatekeeper{gate};

  // On a thread of its own. Returns when it stands in the queue.
  std::future<ProcessOutcome> queue(const Command& command, const Queueing& queueing = {}, std::stop_token stop = {}) {
    const auto queued = std::make_shared<std::promise<void>>();
    auto outcome =
        std::async(std::launch::async, [this, command, rules = queueing, stop = std::move(stop), queued]() mutable {
          rules.on_queued = [queued] { queued->set_value(); };
          return *zygote.run(command, std::move(stop), rules);
        });
    queued->get_future().wait();
    return outcome;
  }
  // One that says when it runs, and runs until the gatekeeper lets it go.
  Command held() const {
    return {.argv = {"sh", "-c", "echo -n r > $0; read x < $1; echo held", fifo.path(), gate.path()}};
  }
  Command touch() const { return {.argv = {"touch", touched()}}; }
  std::string touched() const { return fifo.folder() + "/touched"; }
};

TEST_F(ZygoteQueueTest, commands_run_one_after_the_other_in_the_order_in_which_they_came) {
  const std::string list = fifo.folder() + "/list";
  auto first = queue(held());
  std::vector<std::future<ProcessOutcome>> others;
  for (int i = 0; i < 20; ++i)
    others.push_back(queue({.argv = {"sh", "-c", "mkdir $0.lock && echo -n $1 >> $0; rmdir $0.lock", list,
                                     std::string(1, static_cast<char>('a' + i))}}));
  EXPECT_EQ(fifo.next(), 'r');
  EXPECT_FALSE(std::filesystem::exists(list));
  gatekeeper.let_go();
  EXPECT_EQ(first.get().standard_output, "held\n");
  for (auto& other : others) EXPECT_EQ(other.get().stderr_tail, "");
  std::ifstream file{list};
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>{file}, {}), "abcdefghijklmnopqrst");
}

TEST_F(ZygoteQueueTest, one_that_is_withdrawn_while_it_waits_never_begins) {
  auto first = queue(held());
  std::stop_source withdraw;
  auto second = queue(touch(), {.withdraw = withdraw.get_token()});
  std::stop_source stop;
  auto third = queue(touch(), {}, stop.get_token());
  withdraw.request_stop();
  stop.request_stop();
  const ProcessOutcome outcome = second.get();
  EXPECT_TRUE(outcome.withdrawn);
  EXPECT_FALSE(outcome.stopped);
  EXPECT_TRUE(third.get().withdrawn);
  EXPECT_EQ(fifo.next(), 'r');
  gatekeeper.let_go();
  EXPECT_EQ(first.get().standard_output, "held\n");
  EXPECT_EQ(queue({.argv = {"true"}}).get().exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(touched()));
}

// What was withdrawn and still stood in the queue once took the claim of the next.
TEST_F(ZygoteQueueTest, who_comes_after_one_that_was_withdrawn_runs_nevertheless) {
  auto first = queue(held());
  EXPECT_EQ(fifo.next(), 'r');
  std::stop_source withdraw;
  auto second = queue(touch(), {.withdraw = withdraw.get_token()});
  withdraw.request_stop();
  EXPECT_TRUE(second.get().withdrawn);
  auto third = queue({.argv = {"sh", "-c", "echo third"}});
  gatekeeper.let_go();
  EXPECT_EQ(first.get().exit_code, 0);
  EXPECT_EQ(third.get().standard_output, "third\n");
  EXPECT_FALSE(std::filesystem::exists(touched()));
}

TEST_F(ZygoteQueueTest, one_that_is_withdrawn_before_it_comes_is_not_even_queued) {
  std::stop_source withdraw;
  withdraw.request_stop();
  EXPECT_TRUE(zygote.run(touch(), {}, {.withdraw = withdraw.get_token()})->withdrawn);
  EXPECT_FALSE(std::filesystem::exists(touched()));
}

TEST_F(ZygoteQueueTest, one_that_has_begun_is_not_withdrawn_but_may_be_stopped) {
  std::stop_source withdraw;
  auto first = queue(held(), {.withdraw = withdraw.get_token()});
  EXPECT_EQ(fifo.next(), 'r');
  withdraw.request_stop();
  gatekeeper.let_go();
  const ProcessOutcome outcome = first.get();
  EXPECT_FALSE(outcome.withdrawn);
  EXPECT_EQ(outcome.standard_output, "held\n");

  std::stop_source again;
  std::stop_source stop;
  auto second = queue(held(), {.withdraw = again.get_token()}, stop.get_token());
  EXPECT_EQ(fifo.next(), 'r');
  again.request_stop();
  stop.request_stop();
  EXPECT_TRUE(second.get().stopped);
}

TEST_F(ZygoteQueueTest, a_command_finds_the_number_of_its_line) {
  EXPECT_EQ(queue({.argv = {"sh", "-c", "echo $LINE"}}).get().standard_output, "7\n");
  EXPECT_EQ(queue({.argv = {"sh", "-c", "echo $LINE"}, .environment = {{"LINE", "mine"}}}).get().standard_output,
            "mine\n");
}

TEST_F(ZygoteQueueTest, who_waits_for_a_line_that_is_killed_gets_another_of_the_same_number) {
  auto first = std::async(std::launch::async, [&] {
    return zygote.run({.argv = {"sh", "-c", "echo -n r > $0; read x < $1; kill -KILL $PPID; exec sleep 1000",
                                fifo.path(), gate.path()}});
  });
  EXPECT_EQ(fifo.next(), 'r');
  auto second = queue({.argv = {"sh", "-c", "echo $LINE"}});
  gatekeeper.let_go();
  EXPECT_FALSE(first.get());
  EXPECT_EQ(second.get().standard_output, "7\n");
}

TEST_F(ZygoteQueueTest, a_program_that_is_gone_is_sought_again) {
  const std::string near = fifo.folder() + "/near";
  const std::string far = fifo.folder() + "/far";
  for (const std::string& folder : {near, far}) {
    std::filesystem::create_directory(folder);
    std::ofstream{folder + "/program"} << "#!/bin/sh\necho " << folder << "\n";
    std::filesystem::permissions(folder + "/program", std::filesystem::perms::owner_all);
  }
  const Command command{.argv = {"program"}, .environment = {{"PATH", near + ":" + far + ":/usr/bin:/bin"}}};
  EXPECT_EQ(queue(command).get().standard_output, near + "\n");
  std::filesystem::remove(near + "/program");
  EXPECT_EQ(queue(command).get().standard_output, far + "\n");
  std::filesystem::remove(far + "/program");
  EXPECT_THAT(queue(command).get().start_error, Optional(HasSubstr("cannot find the program 'program' in PATH")));
}

TEST_F(ZygoteTest, a_killed_line_process_is_an_error_and_the_next_command_gets_another) {
  const Result<ProcessOutcome> outcome = zygote.run(shell("kill -KILL $PPID; exec sleep 1000"));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::disconnected);
  EXPECT_EQ(run({.argv = {"true"}}).exit_code, 0);
}

// Forks a node that lives in a group of its own and does `work` with its zygote; returns its pid.
template <class Work>
pid_t fork_node(const Work& work) {
  const pid_t node = fork();
  if (node != 0) return node;
  setpgid(0, 0);
  const Zygote zygote = *Zygote::start();
  _exit(work(zygote));
}

// All processes whose parents died have become children of this one.
void wait_for_all_descendants() {
  while (wait(nullptr) > 0) {
  }
}

TEST(ZygoteOfANode, kill_9_of_the_node_leaves_no_process) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Fifo fifo;
  const int holder = fifo.writer();
  const std::string script =
      "trap '' TERM HUP INT; sleep 1000 & (sleep 1000 & sleep 1000) & echo -n r >" + fifo.path() + "; sleep 1000";
  const pid_t node = fork_node([&](const Zygote& zygote) {
    return zygote.run({.argv = {"sh", "-c", script}}) ? 0 : 1;
  });
  EXPECT_EQ(fifo.next(), 'r');
  kill(-node, SIGKILL);
  wait_for_all_descendants();
  close(holder);
}

TEST(ZygoteOfANode, its_end_waits_for_nothing_that_still_runs) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t node = fork_node([](const Zygote& zygote) { return zygote.run({.argv = {"true"}})->exit_code; });
  int status = -1;
  ASSERT_EQ(waitpid(node, &status, 0), node);
  EXPECT_EQ(status, 0);
  wait_for_all_descendants();
}

TEST(ZygoteOfANode, it_starts_whatever_numbers_its_descriptors_get) {
  for (int closed = 0; closed < 3; ++closed) {
    const pid_t node = fork();
    if (node == 0) {
      for (int descriptor = 0; descriptor <= closed; ++descriptor) close(descriptor);
      _exit(Zygote::start()->run({.argv = {"cat"}, .standard_input = "x"})->standard_output == "x" ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(node, &status, 0), node);
    EXPECT_EQ(status, 0) << closed + 1 << " closed";
  }
}

TEST(ZygoteOfANode, signals_to_the_foreground_group_do_not_end_it) {
  const pid_t node = fork_node([](const Zygote& zygote) {
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) std::signal(signal, SIG_IGN);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) kill(0, signal);
    return zygote.run({.argv = {"sh", "-c", "exit 42"}})->exit_code;
  });
  int status = -1;
  ASSERT_EQ(waitpid(node, &status, 0), node);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

// --- What commands are kept from ---

class ConfinedTest : public testing::Test {
protected:
  static std::string output_of(const Confinement& confinement, const std::string& script) {
    const Zygote zygote = *Zygote::start({.confinement = confinement});
    const Result<ProcessOutcome> outcome = zygote.run({.argv = {"sh", "-c", script}});
    return outcome ? outcome->standard_output + outcome->start_error.value_or("") : outcome.error().message;
  }
};

TEST_F(ConfinedTest, nothing_gains_rights_if_it_must_not) {
  const std::string script = "grep NoNewPrivs /proc/self/status | tr -d '[:space:]'";
  EXPECT_EQ(output_of({}, script), "NoNewPrivs:0");
  EXPECT_EQ(output_of({.no_new_privileges = true}, script), "NoNewPrivs:1");
}

TEST_F(ConfinedTest, each_process_has_its_limits) {
  const Confinement confinement{.limits = {{RLIMIT_NOFILE, 99}, {RLIMIT_FSIZE, 1 << 20}, {RLIMIT_CPU, 7}}};
  EXPECT_EQ(output_of(confinement, "ulimit -n; ulimit -f; ulimit -St"), "99\n2048\n7\n");
}

TEST_F(ConfinedTest, limits_are_hard) {
  const Confinement confinement{.limits = {{RLIMIT_NOFILE, 99}, {RLIMIT_FSIZE, 1 << 20}}};
  EXPECT_EQ(output_of(confinement, "ulimit -Hn; ulimit -Hf"), "99\n2048\n");
}

TEST_F(ConfinedTest, who_eats_the_processor_is_ended) {
  const Zygote zygote = *Zygote::start({.confinement = {.limits = {{RLIMIT_CPU, 1}}}});
  const Result<ProcessOutcome> outcome = zygote.run({.argv = {"sh", "-c", "while :; do :; done"}});
  EXPECT_EQ(outcome->signal, SIGXCPU);
}

TEST_F(ConfinedTest, commands_run_as_somebody_else_with_nothing_of_ours) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const Result<UserAccount> nobody = account_of("nobody");
  ASSERT_TRUE(nobody);
  EXPECT_EQ(output_of({.account = *nobody}, "id -un; id -Gn; echo $USER $LOGNAME $HOME"),
            "nobody\nnogroup\nnobody nobody " + nobody->home + "\n");
  EXPECT_EQ(output_of({.account = *nobody}, "cat /etc/shadow 2>/dev/null || echo no"), "no\n");
  EXPECT_EQ(account_of("65534")->name, "nobody");
}

TEST_F(ConfinedTest, no_id_of_ours_is_left_to_go_back_to) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const Result<UserAccount> nobody = account_of("nobody");
  ASSERT_TRUE(nobody);
  const std::string ids = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr -s '[:space:]' ' '";
  EXPECT_EQ(output_of({.account = *nobody}, ids),
            "Uid: 65534 65534 65534 65534 Gid: 65534 65534 65534 65534 Groups: 65534 ");
}

// Whose name is no number, and so is looked for as a name.
TEST_F(ConfinedTest, a_number_that_no_user_can_have_is_nobodys_name) {
  for (const std::string name : {"99999999999999999999", "4294967296", ""})
    EXPECT_EQ(account_of(name).error().message, "there is no user '" + name + "' on this machine");
}

// It would find out when it starts the first command, and not say which option was wrong.
TEST_F(ConfinedTest, who_is_not_root_is_told_that_nobody_else_can_be_had) {
  if (geteuid() != 0) {
    EXPECT_EQ(account_of("root").error().message, "only root can run commands as another user, and this is not root");
    return;
  }
  ASSERT_EQ(seteuid(65534), 0);
  const Result<UserAccount> root = account_of("root");
  const Result<UserAccount> itself = account_of("65534");
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().message, "only root can run commands as another user, and this is not root");
  EXPECT_TRUE(itself);
}

TEST_F(ConfinedTest, a_user_that_is_not_there_is_named) {
  EXPECT_EQ(account_of("nobody-has-this-name").error().message,
            "there is no user 'nobody-has-this-name' on this machine");
}

}  // namespace
}  // namespace ventile
