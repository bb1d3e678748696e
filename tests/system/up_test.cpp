// `ventile up`: a broker and its workers, as one process to start and to stop.
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <tests/system/cluster.hpp>

namespace ventile {
namespace {

class UpTest : public ClusterTest {
protected:
  // A client whose tasks are all done.
  void run_tasks() {
    Process& client = start("ventile", {"bench", "throughput", "--connect", address, "--tasks", "1000", "--json"});
    EXPECT_EQ(client.wait(), 0) << client.errors();
    EXPECT_EQ(nlohmann::json::parse(client.output())["tasks"], 1000);
  }
  static std::string process_of_worker(const std::string& name) { return name.substr(name.rfind(':') + 1); }
};

TEST_F(UpTest, clients_are_served_by_the_workers_it_starts) {
  start_up();
  EXPECT_EQ(workers(2).size(), 2U);
  run_tasks();
}

TEST_F(UpTest, it_says_where_it_is_and_what_to_type_next) {
  Process& up = start_up({"-w", "1", "-j", "3"});
  EXPECT_NE(up.line_with("1 worker with 3 slots at " + address), "");
  EXPECT_NE(up.line_with("ventile map --connect " + address), "");
  EXPECT_NE(up.line_with("ventile status --connect " + address), "");
  EXPECT_EQ(start("ventile", {"health", "--connect", address}).wait(), 0);
}

TEST_F(UpTest, what_it_started_is_a_document_if_asked) {
  Process& up = start("ventile", {"up", "--json", "--bind", "tcp://127.0.0.1:0", "--workers", "1", "--slots", "1"});
  up.output_lines(1);
  const nlohmann::json document = nlohmann::json::parse(up.output(), nullptr, false);
  EXPECT_EQ(document["schema"], 1);
  EXPECT_EQ(document["workers"], 1);
  EXPECT_EQ(document["slots"], 1);
  EXPECT_TRUE(document["address"].get<std::string>().starts_with("tcp://127.0.0.1:")) << document;
}

TEST_F(UpTest, a_worker_that_is_killed_is_named_and_replaced) {
  Process& up = start_up();
  const std::vector<std::string> before = workers(2);
  const std::string victim = process_of_worker(before.front());
  kill(std::stoi(victim), SIGKILL);
  EXPECT_NE(up.line_with("(process " + victim + ") ended with signal 9 (Killed); starting it again in 100ms"), "");
  std::vector<std::string> after;
  do after = workers(2);
  while (after == before || std::count(after.begin(), after.end(), before.front()) > 0);
  run_tasks();
}

TEST_F(UpTest, a_worker_that_was_told_to_leave_is_not_replaced) {
  Process& up = start_up();
  const std::string leaving = workers(2).front();
  EXPECT_EQ(start("ventile", {"drain", leaving, "--connect", address}).wait(), 0);
  EXPECT_NE(up.line_with("(process " + process_of_worker(leaving) + ") has left; it is not started again"), "");
  EXPECT_EQ(workers(1).size(), 1U);
  run_tasks();
}

TEST_F(UpTest, no_process_is_left_when_it_is_told_to_stop) {
  for (const int signal : {SIGINT, SIGTERM}) {
    address = "tcp://127.0.0.1:0";
    Process& up = start_up();
    workers(2);
    const std::vector<Witness> children = children_of(up.pid(), 2);
    up.signal(signal);
    EXPECT_EQ(up.wait(), 0) << up.errors();
    for (const Witness& child : children) EXPECT_TRUE(child.sees_the_end());
  }
}

TEST_F(UpTest, no_process_is_left_when_it_is_killed) {
  Process& up = start_up();
  const std::vector<Witness> children = children_of(up.pid(), 2);
  for (const Witness& child : children) child.signal(SIGSTOP);  // It hears nothing that it could put off.
  up.kill();
  for (const Witness& child : children) EXPECT_TRUE(child.sees_the_end());
}

TEST_F(UpTest, workers_that_hear_nothing_are_killed_by_who_insists) {
  Process& up = start_up();
  workers(2);
  const std::vector<Witness> children = children_of(up.pid(), 2);
  for (const Witness& child : children) child.signal(SIGSTOP);
  up.signal(SIGINT);
  up.line_with("press Ctrl-C again");
  up.signal(SIGTERM);
  up.line_with("once more kills");
  up.signal(SIGTERM);
  EXPECT_EQ(up.wait(), 143);
  for (const Witness& child : children) EXPECT_TRUE(child.sees_the_end());
}

TEST_F(UpTest, an_address_in_use_is_an_error_with_a_way_out) {
  const Process& first = start_up();
  Process& second = start("ventile", {"up", "--bind", address});
  EXPECT_EQ(second.wait(), 3);
  EXPECT_NE(second.errors().find("in use by process " + std::to_string(first.pid())), std::string::npos)
      << second.errors();
  EXPECT_NE(second.errors().find("--bind"), std::string::npos) << second.errors();
}

TEST_F(UpTest, workers_that_cannot_work_at_all_end_it) {
  Process& up = start("ventile", {"up", "-w", "2", "--bind", "tcp://127.0.0.1:0", "--plugin", path("none.so")});
  EXPECT_EQ(up.wait(), 2);
  EXPECT_NE(up.errors().find(path("none.so")), std::string::npos) << up.errors();
  EXPECT_NE(up.errors().find("cannot work and ended with exit code 2"), std::string::npos) << up.errors();
}

}  // namespace
}  // namespace ventile
