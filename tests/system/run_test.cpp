// `ventile run` as a user calls it.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include <gmock/gmock.h>

#include <tests/support/fifo.hpp>
#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RunTest : public SystemTest {
protected:
  Process& run(Arguments arguments, int input = -1) {
    arguments.insert(arguments.begin(), "run");
    return start("ventile", arguments, input);
  }
  // What it writes on stdout, ending with this code.
  std::string output_of(const Arguments& arguments, int code = 0) {
    Process& process = run(arguments);
    EXPECT_EQ(process.wait(), code) << process.errors();
    return process.output();
  }
  static void expect_nobody_holds(const Fifo& fifo, Holder& listener) {
    listener.release();
    while (fifo.next() != '\0') {
    }
    EXPECT_TRUE(fifo.has_ended());
  }
  std::vector<std::string> log_column(const std::string& log, std::size_t column) {
    std::vector<std::string> values;
    for (const std::string& line : lines_of_text(read_file(log))) {
      std::string rest = line;
      for (std::size_t i = 0; i < column; ++i) rest.erase(0, rest.find('\t') + 1);
      values.push_back(rest.substr(0, rest.find('\t')));
    }
    values.erase(values.begin());
    return values;
  }
};

TEST_F(RunTest, a_command_runs_for_every_argument) {
  EXPECT_EQ(output_of({"-k", "echo", "<{}>", ":::", "a", "b c", "", "-n", "*"}), "<a>\n<b c>\n<>\n<-n>\n<*>\n");
}

TEST_F(RunTest, arguments_come_from_standard_input) {
  Pipe pipe;
  Process& process = run({"-k", "echo", "{#}", "{}"}, pipe.reader());
  pipe.write("a\nb\n");
  pipe.close_writer();
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.output(), "1 a\n2 b\n");
}

TEST_F(RunTest, a_task_starts_as_soon_as_its_argument_has_come) {
  Pipe pipe;
  Process& process = run({"echo"}, pipe.reader());
  pipe.write("first\n");
  process.output_lines(1);
  pipe.write("second\n");
  pipe.close_writer();
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(RunTest, names_of_any_bytes_come_through) {
  const std::string name = "\xff\n'\"\\ $`;&*\t-";
  EXPECT_EQ(output_of({"printf", "%s", "{}", ":::", name}), name);
  EXPECT_EQ(output_of({"--shell", "printf %s {}; printf %s \"{}\"", ":::", name}), name + name);
}

TEST_F(RunTest, a_file_name_that_is_a_command_is_a_file_name) {
  const std::string victim = write("victim", "precious");
  output_of({"--shell", "echo {} \"{}\" '{}' \"$(echo {} \"{}\")\"", ":::", "; rm " + victim, "$(rm " + victim + ")",
             "`rm " + victim + "`", "' ; rm " + victim + " '", "\"; rm " + victim + " \""});
  EXPECT_EQ(read_file(victim), "precious");
}

TEST_F(RunTest, an_empty_input_is_no_failure) { EXPECT_EQ(output_of({"echo"}), ""); }

TEST_F(RunTest, a_hundred_thousand_arguments_each_run_once) {
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += std::to_string(i) + "\n";
  const std::string output = output_of({"-k", "-n", "100", "echo", "{}", "::::", write("arguments", lines)});
  std::string joined = output;
  std::replace(joined.begin(), joined.end(), ' ', '\n');
  EXPECT_EQ(joined, lines);
}

TEST_F(RunTest, exit_codes_say_what_happened) {
  output_of({"true", ":::", "a"}, 0);
  output_of({"false", ":::", "a"}, 1);
  output_of({"sh", "-c", "exit 77", ":::", "a"}, 1);
  output_of({"no-such-program", ":::", "a"}, 1);
  output_of({"--frobnicate", "x"}, 2);
  output_of({"echo {}", ":::", "a"}, 2);
  output_of({"echo", "::::", "/nonexistent"}, 2);
  output_of({"--halt", "soon,fail=1", "-j1", "false", ":::", "a", "b"}, 5);
}

TEST_F(RunTest, failures_are_summed_up_with_the_command_that_runs_them_again) {
  Process& process = run({"-j1", "sh", "-c", "echo reason $1 >&2; exit $1", "x", "{}", ":::", "0", "3", "0", "3"});
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.errors(), HasSubstr("2 of 4 tasks failed"));
  EXPECT_THAT(process.errors(), HasSubstr("2 × exit status 3"));
  EXPECT_THAT(process.errors(), HasSubstr("    reason 3\n"));
  EXPECT_THAT(process.errors(),
              HasSubstr("ventile run --slots=1 sh -c 'echo reason $1 >&2; exit $1' x '{}' ::: 3 3\n"));
}

TEST_F(RunTest, outputs_are_never_mixed) {
  const std::string output = output_of({"-j8", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo $1; done", "x", "{}",
                                        ":::", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"});
  const std::vector<std::string> lines = lines_of_text(output);
  ASSERT_EQ(lines.size(), 12U * 9);
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], lines[i - i % 9]);
}

TEST_F(RunTest, one_slot_runs_them_strictly_in_their_order) {
  const std::string list = path("list");
  Arguments arguments{"-j1", "sh", "-c", "echo $1 >> $0", list, "{}", ":::"};
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    arguments.push_back(std::to_string(i));
    expected += std::to_string(i) + "\n";
  }
  output_of(arguments);
  EXPECT_EQ(read_file(list), expected);
}

TEST_F(RunTest, a_command_knows_its_slot) {
  const Arguments command{"sh", "-c", "echo $VENTILE_SLOT $PARALLEL_JOBSLOT"};
  for (const char* const shown : {"", "{%}"}) {
    Arguments arguments{"-j1"};
    arguments.insert(arguments.end(), command.begin(), command.end());
    arguments.insert(arguments.end(), {"x", shown, ":::", "a", "b"});
    EXPECT_EQ(output_of(arguments), "0 1\n0 1\n") << shown;
  }
}

TEST_F(RunTest, a_large_output_comes_out_whole_and_in_order) {
  Process& process = run({"-k", "head", "-c", "{}", "/dev/zero", ":::", "30000000", "1", "65537", "20000000"});
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.output().size(), 50'065'538U);
}

TEST_F(RunTest, a_folder_for_large_outputs_that_is_not_there_is_named_and_no_other_task_suffers) {
  const std::string program = SYSTEM_PROGRAMS "/ventile";
  Process& process = start("/usr/bin/env", {"TMPDIR=/nonexistent", program, "run", "-k", "head", "-c", "{}",
                                            "/dev/zero", ":::", "1000000", "5"});
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.errors(), HasSubstr("1 of 2 tasks failed"));
  EXPECT_THAT(process.errors(), HasSubstr("/nonexistent: No such file or directory"));
}

TEST_F(RunTest, lines_of_a_running_task_appear_at_once_with_line_buffer) {
  const Fifo fifo;
  const Holder holder{fifo};
  Process& process =
      run({"--line-buffer", "--tag", "sh", "-c", "echo begun; read x < $0; printf end", fifo.path(), ":::", "a"});
  process.output_lines(1);
  EXPECT_EQ(process.output(), "a\tbegun\n");
  holder.let_go();
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.output(), "a\tbegun\na\tend");
}

TEST_F(RunTest, commands_write_by_themselves_if_ungrouped) {
  const Fifo fifo;
  const Holder holder{fifo};
  Process& process = run({"-u", "sh", "-c", "echo begun; read x < $0", fifo.path(), ":::", "a"});
  process.output_lines(1);
  holder.let_go();
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(RunTest, every_line_has_its_tag) {
  EXPECT_EQ(output_of({"-k", "--tag", "printf", "1\n2", ":::", "a", ":::", "b"}), "a b\t1\na b\t2");
  EXPECT_EQ(output_of({"-k", "--tagstring", "{#}-{}", "echo", ":::", "a"}), "1-a\ta\n");
}

TEST_F(RunTest, a_failed_task_is_tried_again_and_only_its_last_output_counts) {
  const std::string count = path("count");
  const std::string log = path("log");
  EXPECT_EQ(output_of({"--retries", "3", "--joblog", log, "sh", "-c", "echo x >> $0; wc -l < $0; [ $(wc -l < $0) = 3 ]",
                       count, ":::", "a"}),
            "3\n");
  EXPECT_THAT(log_column(log, 6), ElementsAre("0"));
}

TEST_F(RunTest, a_task_over_its_time_is_ended_with_its_group_also_if_it_ignores_TERM) {
  const Fifo begun;
  Holder listener{begun};
  const std::string log = path("log");
  Process& process = run({"--timeout", "0.2", "--joblog", log, "sh", "-c",
                          "trap '' TERM; exec 3> $0; sleep 1000 & sleep 1000", begun.path(), ":::", "a"});
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.errors(), HasSubstr("1 × over its time-out"));
  EXPECT_THAT(log_column(log, 6), ElementsAre("-1"));
  expect_nobody_holds(begun, listener);
}

TEST_F(RunTest, a_log_is_gone_on_with_and_what_it_has_is_passed_over_whatever_its_position) {
  const std::string log = path("log");
  const Arguments command{"-j1", "--resume", "--joblog", log, "sh", "-c", "echo $1; exit $1", "x", "{}", ":::"};
  const auto with = [&](const Arguments& values) {
    Arguments all = command;
    all.insert(all.end(), values.begin(), values.end());
    return all;
  };
  EXPECT_EQ(output_of(with({"0", "3"}), 1), "0\n3\n");
  EXPECT_EQ(output_of(with({"4", "3", "0"}), 1), "4\n");
  EXPECT_THAT(log_column(log, 6), ElementsAre("0", "3", "4"));
  Arguments failed = with({"4", "3", "0", "5"});
  failed[1] = "--resume-failed";
  EXPECT_EQ(output_of(failed, 1), "4\n3\n5\n");
}

TEST_F(RunTest, one_slot_shows_its_commands_in_their_order) {
  const std::string log = path("log");
  std::string expected;
  Arguments all{"-j1", "--joblog", log, "echo", ":::"};
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::to_string(i));
    expected += std::to_string(i) + "\n";
  }
  EXPECT_EQ(output_of(all, 0), expected);
}

TEST_F(RunTest, only_what_failed_runs_again_by_the_log) {
  const std::string log = path("log");
  const std::string marks = path("marks");
  output_of({"-j1", "--joblog", log, "sh", "-c", R"(echo "$1" >> $0; [ "$1" = good ])", marks, "{}", ":::", "good",
             "bad one\n"},
            1);
  output_of({"--retry-failed", "--joblog", log}, 1);
  EXPECT_EQ(read_file(marks), "good\nbad one\n\nbad one\n\n");
}

TEST_F(RunTest, results_are_kept_in_files_and_no_argument_leads_out_of_the_folder) {
  output_of({"--results", path("results"), "echo", ":::", "../../escaped", "..", "plain"});
  EXPECT_EQ(read_file(path("results/1/plain/stdout")), "plain\n");
  EXPECT_EQ(read_file(path("results/1/..\\_..\\_escaped/stdout")), "../../escaped\n");
  EXPECT_EQ(read_file(path("results/1/\\../stdout")), "..\n");
}

TEST_F(RunTest, standard_input_is_split_between_records) {
  std::string lines;
  for (int i = 0; i < 20'000; ++i) lines += std::to_string(i) + "\n";
  Pipe pipe;
  Process& process = run({"-k", "--pipe", "--block", "10k", "cat"}, pipe.reader());
  pipe.write(lines);
  pipe.close_writer();
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.output(), lines);
}

TEST_F(RunTest, commands_may_read_their_arguments) {
  EXPECT_EQ(output_of({"-k", "--stdin", "cat", ":::", "a b", "c"}), "a b\nc\n");
}

TEST_F(RunTest, commands_are_shown_and_not_run) {
  EXPECT_EQ(output_of({"--dry-run", "rm", "-rf", "{}", ":::", "it's", "x y"}), "rm -rf 'it'\"'\"'s'\nrm -rf 'x y'\n");
}

TEST_F(RunTest, columns_and_their_names_take_their_places) {
  EXPECT_EQ(
      output_of({"-k", "--header", ":", "--colsep", ",", "echo", "{v}-{n}", "::::", write("csv", "n,v\n1, 2\n3,4\n")}),
      "2-1\n4-3\n");
}

TEST_F(RunTest, commands_run_in_the_folder_that_is_asked_for) {
  EXPECT_EQ(output_of({"--workdir", path("new"), "sh", "-c", "basename $(pwd)", ":::", "a"}), "new\n");
}

TEST_F(RunTest, the_halt_rule_ends_the_run_and_what_runs) {
  Process& process = run({"-j2", "--halt", "now,fail=1", "sh", "-c", "[ $1 = bad ] && exit 1; sleep 1000", "x", "{}",
                          ":::", "long", "bad", "never", "never"});
  EXPECT_EQ(process.wait(), 5);
  EXPECT_THAT(process.errors(), HasSubstr("1 × exit status 1"));
  EXPECT_THAT(process.errors(), HasSubstr("not started"));
}

TEST_F(RunTest, an_interrupted_run_finishes_what_runs_and_starts_nothing_more) {
  const Fifo begun;
  const Holder listener{begun};
  const Fifo gate;
  const Holder holder{gate};
  Process& process = run({"-j1", "sh", "-c", "echo x > $0; read x < $1; echo done $2", begun.path(), gate.path(), "{}",
                          ":::", "1", "2", "3"});
  EXPECT_EQ(begun.next(), 'x');
  process.signal(SIGINT);
  process.line_with("again to");
  holder.let_go();
  EXPECT_EQ(process.wait(), 5);
  EXPECT_EQ(process.output(), "done 1\n");
  EXPECT_THAT(process.errors(), HasSubstr("2 more were not started"));
}

TEST_F(RunTest, a_run_interrupted_twice_ends_what_runs) {
  const Fifo begun;
  Holder listener{begun};
  Process& process =
      run({"-j1", "sh", "-c", "echo x > $0; exec 3> $0; sleep 1000", begun.path(), "{}", ":::", "1", "2", "3"});
  EXPECT_EQ(begun.next(), 'x');
  process.signal(SIGINT);
  process.line_with("again to");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 130);
  expect_nobody_holds(begun, listener);
}

TEST_F(RunTest, nothing_is_left_running_when_it_is_killed) {
  const Fifo begun;
  Holder listener{begun};
  Process& process = run({"-j2", "sh", "-c", "exec 3> $0; sleep 1000 & echo x > $0; sleep 1000", begun.path(), "{}",
                          ":::", "1", "2", "3"});
  EXPECT_EQ(begun.next(), 'x');
  process.kill();
  process.wait();
  expect_nobody_holds(begun, listener);
}

TEST_F(RunTest, a_command_that_leaves_a_daemon_behind_does_not_hold_up_the_run) {
  EXPECT_EQ(output_of({"sh", "-c", "setsid sleep 2 & echo $1", "x", "{}", ":::", "a"}), "a\n");
}

TEST_F(RunTest, a_reader_that_goes_away_ends_the_run) {
  Process& process = start("/bin/sh", {"-c", "$0 run seq {}00000 ::: 1 2 3 | head -n 1", SYSTEM_PROGRAMS "/ventile"});
  EXPECT_EQ(process.wait(), 0);
  EXPECT_THAT(process.errors(), HasSubstr("cannot write standard output: Broken pipe"));
}

}  // namespace
}  // namespace ventile
