#include <nodes/exec_task.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include <ventile/wire/json.hpp>

#include "tests/core/task/fixture.hpp"
#include "tests/support/fifo.hpp"

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::StartsWith;

std::string as_json(Bytes packed) {
  Unpacker unpacker{packed};
  std::string json;
  EXPECT_TRUE(append_json(unpacker, json));
  return json;
}

class ExecTaskTest : public testing::Test {
protected:
  std::shared_ptr<const Zygote> zygote_ = std::make_shared<Zygote>(*Zygote::start());
  Duration timeout_{0};
  RunHere here_;

  std::shared_ptr<TaskJob> job(std::string_view command) {
    TaskRegistry tasks;
    add_exec_task(tasks, zygote_, {.words = *split_words(command), .worker = "worker-1"});
    auto made = std::make_shared<TaskJob>();
    made->id = {1, 2};
    made->function = tasks.find("exec");
    made->timeout = timeout_;
    return made;
  }
  template <class Value>
  std::string result(std::string_view command, const Value& input) {
    const Finished finished = here_.finished(Payloads{}.task(input).batch(job(command)));
    EXPECT_TRUE(finished.failures.empty());
    return as_json(payload_of(finished, 0));
  }
  template <class... Values>
  UnpackedError failure(std::string_view command, const Values&... input) {
    return here_.error(Payloads{}.task(input...).batch(job(command)));
  }
};

TEST_F(ExecTaskTest, a_result_says_how_the_command_ended_and_what_it_used) {
  EXPECT_THAT(result("sh -c 'echo \"$0\"; echo aside >&2' {}", "one  'word'"),
              ContainsRegex("^\\{\"exit\":0,\"stdout\":\"one  'word'\\\\n\",\"stderr\":\"aside\\\\n\","
                            "\"user\":[-0-9.e]+,\"system\":[-0-9.e]+,\"wall\":[-0-9.e]+,\"max_rss_kb\":[0-9]+\\}$"));
}

TEST_F(ExecTaskTest, input_that_is_no_text_is_given_as_JSON) {
  EXPECT_THAT(result("echo", std::vector<int>{1, 2}), HasSubstr(R"("stdout":"[1,2]\n")"));
  EXPECT_THAT(result("echo", 7), HasSubstr(R"("stdout":"7\n")"));
  EXPECT_THAT(result("echo", as_bytes("bytes")), HasSubstr(R"("stdout":"bytes\n")"));
}

TEST_F(ExecTaskTest, an_index_is_its_input_too) {
  auto of_indices = job("echo");
  of_indices->index.enabled = true;
  const Finished finished = here_.finished(index_batch(of_indices, {41, 1}));
  EXPECT_THAT(as_json(payload_of(finished, 0)), HasSubstr(R"("stdout":"41\n")"));
}

TEST_F(ExecTaskTest, the_command_learns_which_task_it_is) {
  const std::string script = "sh -c 'echo $VENTILE_JOB $VENTILE_TASK $VENTILE_ATTEMPT $VENTILE_WORKER $VENTILE_SLOT'";
  const Finished finished = here_.finished(Payloads{}.task("x").batch(job(script), 17, 2));
  EXPECT_THAT(as_json(payload_of(finished, 0)), HasSubstr("\"00000000000000010000000000000002 17 3 worker-1 5\\n\""));
}

TEST_F(ExecTaskTest, an_exit_status_fails_with_the_last_line_of_stderr) {
  const UnpackedError error = failure("sh -c 'echo first >&2; echo the reason >&2; echo >&2; exit 3'", "x");
  EXPECT_EQ(error.kind, "exit");
  EXPECT_EQ(error.message, "exit status 3: the reason");
  EXPECT_THAT(as_json(error.detail), StartsWith(R"({"exit":3,"stdout":"","stderr":"first\nthe reason\n\n",)"));
}

TEST_F(ExecTaskTest, an_exit_status_without_a_word_fails_with_the_status) {
  EXPECT_EQ(failure("sh -c 'exit 1'", "x").message, "exit status 1");
}

TEST_F(ExecTaskTest, a_signal_fails_with_its_name) {
  const UnpackedError error = failure("sh -c 'kill -SEGV $$'", "x");
  EXPECT_EQ(error.kind, "signal");
  EXPECT_EQ(error.message, "ended by signal 11 (Segmentation fault)");
  EXPECT_THAT(as_json(error.detail), StartsWith(R"({"signal":11,)"));
}

TEST_F(ExecTaskTest, a_command_over_its_time_fails) {
  timeout_ = 50ms;
  const UnpackedError error = failure("sh -c 'exec sleep 1000'", "x");
  EXPECT_EQ(error.kind, "timeout");
  EXPECT_EQ(error.message, "over its time-out");
  EXPECT_THAT(as_json(error.detail), StartsWith(R"({"signal":15,)"));
}

TEST_F(ExecTaskTest, a_program_that_is_not_there_fails_with_its_name) {
  const UnpackedError error = failure("no-such-program {}", "x");
  EXPECT_EQ(error.kind, "spawn");
  EXPECT_THAT(error.message, HasSubstr("'no-such-program'"));
}

TEST_F(ExecTaskTest, it_takes_one_value_without_a_NUL) {
  EXPECT_EQ(failure("echo", "a", "b").message, "expected 1 argument, got 2");
  const UnpackedError error = failure("echo", std::string_view{"a\0b", 3});
  EXPECT_EQ(error.kind, "arguments");
  EXPECT_THAT(error.message, HasSubstr("NUL"));
}

TEST_F(ExecTaskTest, a_cancelled_job_ends_its_command) {
  Fifo fifo;
  const int holder = fifo.writer();
  Events events;
  Runner runner{{.run = {.limits = test_limits}}, events.callback()};
  runner.start(Payloads{}.task(fifo.path()).batch(job("sh -c 'echo -n r >$0; exec sleep 1000'")));
  EXPECT_EQ(fifo.next(), 'r');
  close(holder);
  events.take(runner.cancel(JobId{1, 2}));
  ASSERT_TRUE(events.wait_for_tasks(1));
  const std::vector<Finished> finished = events.all<Finished>();
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_EQ(unpack_error(payload_of(finished.front(), 0)).kind, "cancelled");
}

TEST_F(ExecTaskTest, it_may_not_run_twice_and_ends_itself_in_time) {
  const TaskTraits traits = job("true")->function->traits();
  EXPECT_FALSE(traits.repeatable);
  EXPECT_TRUE(traits.enforces_timeout);
}

}  // namespace
}  // namespace ventile
