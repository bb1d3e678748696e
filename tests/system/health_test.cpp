// `ventile health`: what a container's health check learns of a broker or a ventilator.
#include <chrono>
#include <filesystem>
#include <string>
#include <utility>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

// Long enough for a machine that is busy, and only waited for by who gets no answer.
constexpr const char* patience = "1s";

class HealthTest : public SystemTest {
protected:
  // Returns the address where it serves.
  std::pair<Process*, std::string> start_broker() {
    Process& broker = start("ventile-broker", {"--bind", "tcp://127.0.0.1:0"});
    const std::string line = broker.line_with("serving clients and workers on ");
    return {&broker, line.substr(line.rfind(' ') + 1)};
  }

  int feel(Arguments more = {}) {
    more.insert(more.begin(), {"health", "--pulse", path("pulse")});
    return start("ventile", more).wait();
  }
  // Asks until the answer is this one, at most as long as the guard.
  bool becomes(int code, const Arguments& more = {}) {
    for (const auto end = std::chrono::steady_clock::now() + guard; std::chrono::steady_clock::now() < end;)
      if (feel(more) == code) return true;
    return false;
  }
};

TEST_F(HealthTest, a_broker_that_answers_is_healthy) {
  const std::string address = start_broker().second;
  Process& health = start("ventile", {"health", "--connect", address});
  EXPECT_EQ(health.wait(), 0);
  EXPECT_EQ(health.output(), address + " answers\n");
}

TEST_F(HealthTest, the_answer_is_a_document_if_asked) {
  const std::string address = start_broker().second;
  Process& health = start("ventile", {"health", "--json", "--connect", address});
  EXPECT_EQ(health.wait(), 0);
  EXPECT_EQ(health.output(), R"({"address":")" + address + R"(","healthy":true,"schema":1})" + "\n");
}

TEST_F(HealthTest, a_ventilator_that_answers_is_healthy_and_its_job_is_none_the_worse) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "index"});
  EXPECT_EQ(start("ventile", {"health", "--connect", address_}).wait(), 0);
  start_sink();
  start_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
}

TEST_F(HealthTest, an_address_where_nobody_is_is_named) {
  const std::string nowhere = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& health = start("ventile", {"health", "--connect", nowhere, "--patience", patience});
  EXPECT_EQ(health.wait(), 3);
  EXPECT_NE(health.errors().find("answers at " + nowhere), std::string::npos) << health.errors();
  Process& document = start("ventile", {"health", "--json", "--connect", nowhere, "--patience", patience});
  EXPECT_EQ(document.wait(), 3);
  EXPECT_NE(document.errors().find(R"("code":"unreachable")"), std::string::npos) << document.errors();
}

// Its kernel accepts connections for it: a port that is open says nothing.
TEST_F(HealthTest, a_broker_that_hangs_is_not_healthy_and_is_again_when_it_goes_on) {
  const auto [broker, address] = start_broker();
  broker->signal(SIGSTOP);
  EXPECT_EQ(start("ventile", {"health", "--connect", address, "--patience", patience}).wait(), 3);
  broker->signal(SIGCONT);
  EXPECT_EQ(start("ventile", {"health", "--connect", address, "--patience", "60s"}).wait(), 0);
}

TEST_F(HealthTest, a_worker_that_is_welcome_serves_and_without_its_broker_is_only_alive) {
  const auto [broker, address] = start_broker();
  address_ = address;
  Process& worker = start_worker({"--pulse", path("pulse")});
  EXPECT_TRUE(becomes(0));
  broker->kill();
  EXPECT_TRUE(becomes(3));
  EXPECT_EQ(feel({"--alive"}), 0);
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.wait(), 0);
  EXPECT_EQ(feel({"--alive"}), 3);
}

TEST_F(HealthTest, a_worker_that_hangs_is_not_alive_and_is_again_when_it_goes_on) {
  address_ = start_broker().second;
  const Process& worker = start_worker({"--pulse", path("pulse")});
  EXPECT_TRUE(becomes(0));
  worker.signal(SIGSTOP);
  EXPECT_TRUE(becomes(3, {"--alive", "--patience", "1500ms"}));
  worker.signal(SIGCONT);
  EXPECT_TRUE(becomes(0));
}

TEST_F(HealthTest, a_worker_in_a_long_task_serves) {
  std::filesystem::create_directory(path("gate"));
  Gate gate{path("gate")};
  gate.mark(0);
  Process& ventilator = start_ventilator({"--range", "0:1", "--function", "hold", "--args", gate.arguments()});
  start_sink();
  start_worker({"-j", "1", "--pulse", path("pulse")});
  gate.next();
  EXPECT_TRUE(becomes(0));
  gate.open(0);
  EXPECT_EQ(exact_summary(ventilator).done, 1U);
}

TEST_F(HealthTest, a_sink_serves_as_soon_as_its_ventilator_knows_it) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "index"});
  start_sink({"--output", path("results"), "--pulse", path("pulse")});
  EXPECT_TRUE(becomes(0));
  start_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
}

TEST_F(HealthTest, alive_without_a_pulse_is_a_usage_error) {
  EXPECT_EQ(start("ventile", {"health", "--alive"}).wait(), 2);
}

}  // namespace
}  // namespace ventile
