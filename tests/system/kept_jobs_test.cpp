// Jobs whose results a broker keeps: clients leave or are killed, the broker is killed, and whoever may comes for them.
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <tests/system/cluster.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;

constexpr std::int64_t tasks = 1000;

class KeptJobsTest : public ClusterTest {
protected:
  Gate gate{path("gate")};
  Arguments broker_options;

  KeptJobsTest() { address = "tcp://127.0.0.1:" + std::to_string(free_port()); }

  Process& start_broker() {
    Arguments arguments{"--bind", address, "--durable", path("state")};
    arguments.insert(arguments.end(), broker_options.begin(), broker_options.end());
    Process& broker = start("ventile-broker", arguments);
    broker.line_with("serving clients and workers on ");
    return broker;
  }
  Process& start_worker(const Arguments& more = {}) {
    Arguments arguments{"--connect", address, "-j", "1", "--plugin", SYSTEM_PLUGIN};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start("ventile-worker", arguments);
  }
  std::string input(std::int64_t count = tasks) {
    std::string lines;
    for (std::int64_t i = 0; i < count; ++i) lines += std::to_string(i) + "\n";
    return write("tasks", lines);
  }
  // Brings the job 'nightly', whose marked tasks wait at the gate.
  Process& keep(Arguments more = {}) {
    Arguments arguments{"--input", input(),   "--function",      "hold", "--args", gate.arguments(), "--keep",
                        "--job",   "nightly", "--output-format", "raw"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start_map(arguments);
  }
  Process& fetch(Arguments more = {}) {
    more.insert(more.begin(), {"--fetch", "nightly", "--output-format", "raw", "--json"});
    return start_map(more);
  }
  Process& ask(Arguments arguments) {
    arguments.insert(arguments.end(), {"--connect", address});
    return start("ventile", arguments);
  }
  // Waits until the broker says this of the job 'nightly'.
  void until(const std::string& what) {
    while (true) {
      Process& why = ask({"why", "nightly"});
      if (why.wait() == 0 && why.output().find(what) != std::string::npos) return;
    }
  }
  // Has all tasks handed over, and nobody waits for the results. Nobody must be able to end the job before.
  void leave_job() {
    Process& map = keep();
    until("of 1000 tasks");
    map.signal(SIGINT);
    EXPECT_EQ(map.wait(), 0) << map.errors();
    EXPECT_THAT(map.errors(), HasSubstr("--fetch nightly"));
  }
  static void expect_whole(Process& map) {
    EXPECT_EQ(map.wait(), 0) << map.errors();
    const Summary summary = summary_in(map.errors());
    EXPECT_EQ(summary.done, 1000U);
    std::vector<std::string> expected;
    for (std::int64_t i = 0; i < tasks; ++i) expected.push_back(std::to_string(i));
    EXPECT_EQ(lines_of_text(map.output()), expected);
  }
  void expect_nothing_kept() {
    Process& map = fetch();
    EXPECT_EQ(map.wait(), 1);
    EXPECT_THAT(map.errors(), HasSubstr("no job 'nightly' is kept"));
    EXPECT_TRUE(std::filesystem::is_empty(path("state") + "/broker/results"));
  }
};

TEST_F(KeptJobsTest, a_client_that_stays_gets_the_results_and_nothing_is_kept) {
  start_broker();
  start_worker();
  Process& map = keep({"--json"});
  expect_whole(map);
  expect_nothing_kept();
}

TEST_F(KeptJobsTest, a_client_that_leaves_is_told_how_to_fetch_and_gets_every_result_once) {
  start_broker();
  start_worker();
  gate.mark(500);
  leave_job();
  gate.next();
  Process& map = fetch();
  gate.open(500);
  expect_whole(map);
  expect_nothing_kept();
}

TEST_F(KeptJobsTest, a_client_that_is_killed_leaves_its_job_to_the_broker) {
  start_broker();
  Process& map = keep();
  until("of 1000 tasks");
  map.kill();
  map.wait();
  start_worker();
  until("until somebody fetches them");
  expect_whole(fetch());
}

TEST_F(KeptJobsTest, a_client_that_is_killed_while_it_brings_tasks_goes_on_with_the_same_command) {
  start_broker();
  start_worker();
  Pipe pipe;
  const Arguments arguments{"--function",      "hold", "--args",   gate.arguments(), "--keep", "--job", "nightly",
                            "--output-format", "raw",  "--format", "jsonl",          "--json"};
  Process& first = start_map(arguments, pipe.reader());
  pipe.write("0\n1\n2\n");
  until("3 of 3 tasks");
  first.kill();
  first.wait();
  until("its client is gone");
  Pipe again;
  Process& second = start_map(arguments, again.reader());
  again.write("0\n1\n2\n3\n");
  again.close_writer();
  EXPECT_EQ(second.wait(), 0) << second.errors();
  EXPECT_EQ(second.output(), "0\n1\n2\n3\n");
}

TEST_F(KeptJobsTest, one_that_is_cancelled_is_gone_for_good) {
  start_broker();
  Pipe pipe;
  Process& map =
      start_map({"--function", "hold", "--args", gate.arguments(), "--keep", "--job", "nightly", "--timeout", "1h"},
                pipe.reader());
  pipe.write("1\n");
  until("1 tasks");
  Process& cancel = ask({"cancel", "nightly"});
  EXPECT_EQ(cancel.wait(), 0) << cancel.errors();
  EXPECT_THAT(cancel.output(), HasSubstr("is cancelled"));
  EXPECT_EQ(map.wait(), 2);
  EXPECT_THAT(map.errors(), HasSubstr("given the job up"));
  expect_nothing_kept();
}

TEST_F(KeptJobsTest, a_second_interrupt_cancels_what_the_first_would_leave_to_the_broker) {
  Process& map = keep();  // No broker takes it.
  map.line_with("none has answered");
  map.signal(SIGINT);
  map.line_with("press Ctrl-C again to cancel it");
  map.signal(SIGINT);
  EXPECT_EQ(map.wait(), 130);
}

TEST_F(KeptJobsTest, belong_to_the_key_of_their_client) {
  const std::string keys = path("keys");
  EXPECT_EQ(start("ventile", {"keygen", "--out", keys}).wait(), 0);
  EXPECT_EQ(start("ventile", {"keygen", "--out", keys, "--add", "client", "--name", "other"}).wait(), 0);
  broker_options = {"--keys", keys};
  start_broker();
  const auto with_key = [&](Arguments arguments, const std::string& role) {
    arguments.insert(arguments.end(), {"--keys", keys + "/" + role, "--connect", address});
    return &start("ventile", arguments);
  };
  start("ventile-worker", {"--connect", address, "-j", "1", "--plugin", SYSTEM_PLUGIN, "--keys", keys + "/worker"});
  gate.mark(2);
  Process& owner = *with_key(
      {"map", "--range", "0:3", "--function", "hold", "--args", gate.arguments(), "--keep", "--job", "nightly"},
      "client");
  gate.next();
  Process& foreign_fetch = *with_key({"map", "--fetch", "nightly"}, "client-other");
  EXPECT_EQ(foreign_fetch.wait(), 1);
  EXPECT_THAT(foreign_fetch.errors(), HasSubstr("no job 'nightly' is kept for this key"));
  Process& foreign_cancel = *with_key({"cancel", "nightly"}, "client-other");
  EXPECT_EQ(foreign_cancel.wait(), 2);
  owner.kill();
  owner.wait();
  Process& revoked = start("ventile", {"keys", "revoke", "other", "--keys", keys});
  EXPECT_EQ(revoked.wait(), 0);
  Process& stranger = *with_key({"cancel", "nightly", "--patience", "1s"}, "client-other");
  EXPECT_NE(stranger.wait(), 0);
  gate.open(2);
  Process& map = *with_key({"map", "--fetch", "nightly", "--output-format", "raw"}, "client");
  EXPECT_EQ(map.wait(), 0) << map.errors();
  EXPECT_EQ(map.output(), "0\n1\n2\n");
}

TEST_F(KeptJobsTest, an_admin_may_cancel_any) {
  const std::string keys = path("keys");
  EXPECT_EQ(start("ventile", {"keygen", "--out", keys}).wait(), 0);
  broker_options = {"--keys", keys};
  start_broker();
  Process& owner =
      start_map({"--range", "0:3", "--function", "index", "--keep", "--job", "nightly", "--keys", keys + "/client"});
  while (true) {
    Process& cancel = ask({"cancel", "nightly", "--keys", keys + "/admin"});
    if (cancel.wait() == 0) break;
  }
  EXPECT_NE(owner.wait(), 0);
}

TEST_F(KeptJobsTest, a_broker_that_is_killed_has_the_job_and_its_results_afterwards) {
  Process& first = start_broker();
  Process& worker = start_worker();
  gate.mark(500);
  leave_job();
  gate.next();
  worker.kill();
  worker.wait();
  first.kill();
  first.wait();
  start_broker();
  gate.open(500);
  start_worker();
  until("until somebody fetches them");
  expect_whole(fetch());
  expect_nothing_kept();
}

TEST_F(KeptJobsTest, a_broker_that_is_killed_while_results_are_fetched_goes_on) {
  Process& first = start_broker();
  start_worker();
  gate.mark(500);
  leave_job();
  gate.next();
  Process& map = fetch();
  map.output_lines(1);
  first.kill();
  first.wait();
  start_broker();
  gate.open(500);
  expect_whole(map);
  expect_nothing_kept();
}

TEST_F(KeptJobsTest, a_fetch_that_is_killed_is_repeated_in_whole) {
  start_broker();
  start_worker();
  gate.mark(500);
  leave_job();
  gate.next();
  Process& first = fetch();
  first.output_lines(1);
  first.kill();
  first.wait();
  Process& second = fetch();
  gate.open(500);
  expect_whole(second);
}

TEST_F(KeptJobsTest, who_fetches_last_is_given_the_results) {
  start_broker();
  start_worker();
  gate.mark(500);
  leave_job();
  gate.next();
  Process& first = fetch();
  first.output_lines(1);
  Process& second = fetch();
  EXPECT_EQ(first.wait(), 1);
  EXPECT_THAT(first.errors(), HasSubstr("another client fetches its results now"));
  gate.open(500);
  expect_whole(second);
}

TEST_F(KeptJobsTest, a_name_that_is_taken_by_another_input_is_refused_with_the_difference) {
  start_broker();
  leave_job();
  Process& other =
      start_map({"--range", "0:10", "--function", "hold", "--args", gate.arguments(), "--keep", "--job", "nightly"});
  EXPECT_EQ(other.wait(), 2);
  EXPECT_THAT(other.errors(), HasSubstr("10 numbers from 0 by 1"));
  Process& function = start_map({"--input", path("tasks"), "--function", "index", "--keep", "--job", "nightly"});
  EXPECT_EQ(function.wait(), 2);
  EXPECT_THAT(function.errors(), HasSubstr("it runs 'hold', and this one 'index'"));
}

TEST_F(KeptJobsTest, status_shows_what_is_kept) {
  start_broker();
  leave_job();
  start_worker();
  until("until somebody fetches them");
  Process& status = ask({"status", "--json"});
  EXPECT_EQ(status.wait(), 0);
  const nlohmann::json job = nlohmann::json::parse(status.output())["jobs"][0];
  EXPECT_EQ(job["name"], "nightly");
  EXPECT_EQ(job["kept"], true);
  EXPECT_GT(job["kept_bytes"], 1000);
  Process& text = ask({"status"});
  EXPECT_EQ(text.wait(), 0);
  EXPECT_THAT(text.output(), HasSubstr("kept: 1000 results"));
  EXPECT_THAT(text.output(), HasSubstr("all there"));
}

TEST_F(KeptJobsTest, results_are_folded_by_whoever_fetches_them) {
  start_broker();
  start_worker();
  Process& map =
      start_map({"--range", "0:100000", "--function", "index", "--fold", "sum", "--keep", "--job", "nightly"});
  EXPECT_EQ(map.wait(), 0) << map.errors();
  EXPECT_EQ(map.output(), "{\"fold\":4999950000,\"tasks\":100000}\n");
}

TEST_F(KeptJobsTest, workers_get_no_more_when_as_much_is_kept_as_may_be) {
  broker_options = {"--keep-bytes", "2kB"};
  Process& full = start_broker();
  leave_job();
  start_worker({"--credit-tasks", "20"});  // Else it has all tasks before a result is kept.
  until("--keep-bytes");
  full.kill();
  full.wait();
  broker_options = {};
  start_broker();
  expect_whole(fetch());
}

TEST_F(KeptJobsTest, what_nobody_fetches_is_removed_in_time) {
  broker_options = {"--keep-for", "300ms"};
  Process& broker = start_broker();
  leave_job();
  start_worker();
  EXPECT_NE(broker.line_with("nobody has fetched it in time (--keep-for)"), "");
  expect_nothing_kept();
}

TEST_F(KeptJobsTest, a_broker_without_a_disk_keeps_nothing_and_says_so) {
  start("ventile-broker", {"--bind", address}).line_with("serving clients and workers on ");
  Process& map = keep();
  EXPECT_EQ(map.wait(), 2);
  EXPECT_THAT(map.errors(), HasSubstr("--durable"));
}

TEST_F(KeptJobsTest, a_file_of_results_that_is_damaged_is_named_and_the_broker_does_not_start) {
  Process& first = start_broker();
  leave_job();
  start_worker();
  until("until somebody fetches them");
  first.kill();
  first.wait();
  const auto file = *std::filesystem::directory_iterator(path("state") + "/broker/results");
  std::filesystem::resize_file(file.path(), 100);
  Process& second = start("ventile-broker", {"--bind", address, "--durable", path("state")});
  EXPECT_NE(second.wait(), 0);
  EXPECT_THAT(second.errors(), HasSubstr(file.path().filename().string()));
}

}  // namespace
}  // namespace ventile
