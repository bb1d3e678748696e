// `ventile run` with the slots of other machines, as workers on this one that have a connection and a folder of their
// own.
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <gmock/gmock.h>

#include <tests/support/fifo.hpp>
#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;

class LentSlotsTest : public SystemTest {
protected:
  // Lends nothing of its own machine, unless `options` say otherwise. Knows its address when this returns.
  Process& run(Arguments command, Arguments options = {"--remote-only"}) {
    Arguments arguments{"run", "--bind", "tcp://127.0.0.1:0"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), command.begin(), command.end());
    Process& process = start("ventile", arguments);
    const std::string line = process.line_with("--connect ");
    address_ = line.substr(line.find("tcp://"));
    address_ = address_.substr(0, address_.find(' '));
    return process;
  }
  Process& lend(Arguments more = {"-j", "2"}) {
    Arguments arguments{"--exec", "*", "--connect", address_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start("ventile-worker", arguments);
  }
  static std::string column_of(const std::string& log, std::size_t column) {
    std::string line = lines_of_text(read_file(log)).at(1);
    for (; column > 0; --column) line.erase(0, line.find('\t') + 1);
    return line.substr(0, line.find('\t'));
  }
};

TEST_F(LentSlotsTest, of_another_machine_run_commands_and_what_they_write_comes_back_with_their_host) {
  Process& process = run({"-k", "--tag", "--joblog", path("log"), "sh", "-c", R"(echo "out $1"; echo err >&2)", "x",
                          "{}", ":::", "a", "b c", "*"},
                         {"--remote-only", "-j2"});
  lend();
  EXPECT_EQ(process.wait(), 0) << process.errors();
  EXPECT_EQ(process.output(), "a\tout a\nb c\tout b c\n*\tout *\n");
  EXPECT_THAT(process.errors(), HasSubstr("b c\terr\n"));
  EXPECT_NE(column_of(path("log"), 1), ":") << "the column Host";
  EXPECT_THAT(column_of(path("log"), 8), HasSubstr("sh -c"));
}

TEST_F(LentSlotsTest, share_the_run_with_those_of_this_machine) {
  const Fifo begun;
  const Holder listener{begun};
  const Fifo gate;
  Holder holder{gate};
  Process& process = run(
      {"sh", "-c", "exec < $1; printf x > $0; cat", begun.path(), gate.path(), "{}", ":::", "1", "2", "3"}, {"-j1"});
  lend({"-j", "2"});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(begun.next(), 'x') << "all three run at once";
  holder.release();
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(LentSlotsTest, bring_back_outputs_of_many_megabytes_whole) {
  Process& process = run({"-k", "sh", "-c", "seq $1; seq $1 >&2", "x", "{}", ":::", "1000000", "3"});
  lend();
  EXPECT_EQ(process.wait(), 0);
  std::string expected;
  for (int i = 1; i <= 1'000'000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(process.output() == expected + "1\n2\n3\n");
  EXPECT_THAT(process.errors(), HasSubstr("\n999999\n"));
}

TEST_F(LentSlotsTest, end_a_command_that_writes_more_than_comes_back_and_say_so) {
  Process& process = run({"head", "-c", "{}", "/dev/zero", ":::", "200000000"});
  lend();
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.errors(), HasSubstr("stdout is over 64 MiB"));
}

TEST_F(LentSlotsTest, that_are_lost_have_their_tasks_run_elsewhere_and_the_summary_says_so) {
  const Fifo begun;
  const Holder listener{begun};
  Process& process = run({"sh", "-c", "printf x > $0; [ -e $1 ] || sleep 1000; echo done $2", begun.path(), path("go"),
                          "{}", ":::", "1", "2"});
  Process& lost = lend();
  EXPECT_EQ(begun.next(), 'x');
  EXPECT_EQ(begun.next(), 'x');
  write("go", "");
  lost.kill();
  lend();
  EXPECT_EQ(process.wait(), 0);
  std::vector<std::string> lines = lines_of_text(process.output());
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (std::vector<std::string>{"done 1", "done 2"}));
  EXPECT_THAT(process.errors(), HasSubstr("1 machine was lost; 2 tasks were given to others"));
}

TEST_F(LentSlotsTest, run_nothing_any_more_when_the_run_is_killed) {
  const Fifo begun;
  Holder listener{begun};
  Process& process = run({"sh", "-c", "exec 3> $0; printf x >&3; sleep 1000", begun.path(), "{}", ":::", "1", "2"});
  Process& worker = lend();
  EXPECT_EQ(begun.next(), 'x');
  EXPECT_EQ(begun.next(), 'x');
  process.kill();
  process.wait();
  listener.release();
  EXPECT_TRUE(begun.has_ended());
  EXPECT_TRUE(worker.running()) << "it waits for the next run";
}

TEST_F(LentSlotsTest, stop_what_runs_when_the_run_is_interrupted_twice) {
  const Fifo begun;
  Holder listener{begun};
  Process& process =
      run({"sh", "-c", "exec 3> $0; printf x >&3; sleep 1000", begun.path(), "{}", ":::", "1", "2", "3"});
  lend();
  EXPECT_EQ(begun.next(), 'x');
  EXPECT_EQ(begun.next(), 'x');
  process.signal(SIGINT);
  process.line_with("again to");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 130);
  listener.release();
  EXPECT_TRUE(begun.has_ended());
}

TEST_F(LentSlotsTest, start_nothing_more_from_the_moment_the_run_is_interrupted) {
  const Fifo begun;
  const Holder listener{begun};
  const Fifo gate;
  Holder holder{gate};
  Process& process = run(
      {"sh", "-c", "exec < $1; printf x > $0; cat; echo $2", begun.path(), gate.path(), "{}", ":::", "1", "2", "3"});
  lend({"-j", "1"});
  EXPECT_EQ(begun.next(), 'x');
  process.signal(SIGINT);
  process.line_with("again to");
  std::string status;
  while (status.find(R"("cancelled":2)") == std::string::npos && process.running()) {
    Process& question = start("ventile", {"status", "--json", "--connect", address_});
    question.wait();
    status = question.output();
  }
  holder.release();
  EXPECT_EQ(process.wait(), 5);
  EXPECT_EQ(process.output(), "1\n");
  EXPECT_THAT(process.errors(), HasSubstr("2 more were not started"));
}

TEST_F(LentSlotsTest, serve_one_run_after_the_other) {
  const std::string port = std::to_string(free_port());
  address_ = "tcp://127.0.0.1:" + port;
  lend();
  for (const std::string text : {"first", "second"}) {
    Process& process = start("ventile", {"run", "--bind", address_, "--remote-only", "echo", "{}", ":::", text});
    EXPECT_EQ(process.wait(), 0);
    EXPECT_EQ(process.output(), text + "\n");
  }
}

TEST_F(LentSlotsTest, run_in_their_own_folder_with_the_variables_that_are_asked_for) {
  setenv("VENTILE_TEST_COLOUR", "green", 1);
  Process& process = run({"--workdir", path("work/deep"), "--env", "VENTILE_TEST_COLOUR", "sh", "-c",
                          "echo $VENTILE_TEST_COLOUR; pwd", "x", ":::", "1"});
  unsetenv("VENTILE_TEST_COLOUR");
  std::filesystem::remove_all(path("work"));
  lend();
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.output(), "green\n" + path("work/deep") + "\n");
}

TEST_F(LentSlotsTest, are_sent_the_files_that_a_task_needs_and_send_back_what_it_makes) {
  const std::string there = path("there");
  write("a b.txt", "one\ntwo\n");
  write("c.txt", "three\n");
  std::filesystem::create_directory(there);
  Process& process = run({"sh", "-c", R"(wc -l < "$1" > "$1.count"; pwd)", "x", "{}", ":::", "a b.txt", "c.txt"},
                         {"--remote-only", "--workdir", there, "--trc", "{}.count", "-k"});
  lend();
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.output(), there + "\n" + there + "\n");
  EXPECT_EQ(read_file(path("a b.txt.count")), "2\n");
  EXPECT_EQ(read_file(path("c.txt.count")), "1\n");
  EXPECT_TRUE(std::filesystem::is_empty(there)) << "cleaned up";
}

TEST_F(LentSlotsTest, name_a_file_that_did_not_come_or_was_not_made_as_the_failure_of_its_task) {
  write("there.txt", "");
  Process& process = run({"true", ":::", "gone.txt", "there.txt"},
                         {"--remote-only", "--transferfile", "{}", "--return", "{}.out", "--workdir", path("w")});
  lend();
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.errors(), HasSubstr("cannot read gone.txt: No such file"));
  EXPECT_THAT(process.errors(), HasSubstr("there.txt.out: No such file"));
}

TEST_F(LentSlotsTest, are_lent_with_a_workers_key_and_with_no_other) {
  EXPECT_EQ(start("ventile", {"keygen", "--out", "keys"}).wait(), 0);
  Process& process = run({"echo", "{}", ":::", "1"}, {"--remote-only", "--keys", "keys"});
  Process& stranger = lend();
  EXPECT_NE(stranger.wait(), 0);
  Process& client = lend({"--keys", "keys/client"});
  EXPECT_NE(client.wait(), 0);
  lend({"--keys", "keys/worker"});
  EXPECT_EQ(process.wait(), 0) << process.errors();
  EXPECT_EQ(process.output(), "1\n");
}

TEST_F(LentSlotsTest, share_with_this_machine_under_keys) {
  EXPECT_EQ(start("ventile", {"keygen", "--out", "keys"}).wait(), 0);
  Process& process = start(
      "ventile", {"run", "--bind", "tcp://127.0.0.1:0", "--keys", "keys", "-k", "echo", "{}", ":::", "1", "2", "3"});
  EXPECT_EQ(process.wait(), 0) << process.errors();
  EXPECT_EQ(process.output(), "1\n2\n3\n");
}

TEST_F(LentSlotsTest, are_not_lent_by_a_worker_that_names_another_command) {
  Process& process = run({"echo", "{}", ":::", "1"});
  Process& worker = start("ventile-worker", {"--exec", "cat {}", "--connect", address_});
  EXPECT_NE(worker.line_with("--exec '*'"), "");
  lend();
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(LentSlotsTest, need_an_address_that_others_can_reach_and_a_risk_that_is_accepted) {
  for (const std::string address : {"tcp://*:5570", "tcp://0.0.0.0:0", "ipc:///tmp/x"}) {
    Process& process = start("ventile", {"run", "--bind", address, "--insecure", "true", ":::", "1"});
    EXPECT_EQ(process.wait(), 2) << address;
    EXPECT_THAT(process.errors(), HasSubstr("no address by which other machines reach this one"));
  }
  Process& process = start("ventile", {"run", "--bind", "tcp://10.1.2.3:5570", "true", ":::", "1"});
  EXPECT_EQ(process.wait(), 2);
  EXPECT_THAT(process.errors(), HasSubstr("without keys"));
}

}  // namespace
}  // namespace ventile
