// A broker with keys, an honest worker and two honest clients, one of whose jobs is kept; and keys that were stolen of
// every role that talks to a broker.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <tests/system/fabric.hpp>
#include <tests/system/introductions.hpp>
#include <tests/system/rogue.hpp>

namespace ventile {

struct Disguise {
  Role role;
  const char* key;
  std::set<std::uint8_t> rights;  // The messages that are for it, as PROTOCOL.md has them.
};

inline const Disguise& as_worker() {
  static const Disguise disguise{Role::worker,
                                 "worker-thief",
                                 {Hello::type, Heartbeat::type, Part::type, Bye::type, Results::type, Return::type,
                                  Progress::type, Milestones::type, Waiting::type, Seek::type}};
  return disguise;
}
inline const Disguise& as_client() {
  static const Disguise disguise{
      Role::client,
      "client-crook",
      {Hello::type, Heartbeat::type, Part::type, Bye::type, Submit::type, Offer::type, Complete::type, Stored::type,
       Closed::type, Fetch::type, Discard::type, Inquire::type, Explain::type}};
  return disguise;
}
inline const Disguise& as_admin() {
  static const Disguise disguise{
      Role::client,
      "admin-usurper",
      {Hello::type, Heartbeat::type, Part::type, Bye::type, Inquire::type, Explain::type, Discard::type, Drain::type}};
  return disguise;
}
inline const Disguise& as_sink() {
  static const Disguise disguise{
      Role::sink,
      "sink",
      {Hello::type, Heartbeat::type, Part::type, Bye::type, Opened::type, Stored::type, Closed::type}};
  return disguise;
}
inline std::vector<Disguise> disguises() { return {as_worker(), as_client(), as_admin(), as_sink()}; }

// An honest job whose first task waits at a gate.
struct HonestJob {
  explicit HonestJob(const std::string& folder) : gate(folder) { gate.mark(0); }

  Gate gate;
  Process* client = nullptr;
  std::string results;
  JobId id;
};

class BrokerAbuse : public SystemTest {
protected:
  static constexpr std::int64_t tasks = 1000;  // Of each honest job.

  // Nobody is taken for dead because this machine is slow. When this returns, one task of each honest job has begun and
  // waits: nobody's job can end before its time.
  void SetUp() override {
    make_keys();
    serve();
    worker = &start_worker({"-j", "2", "--keys", path("keys")});
    begin(plain, "hourly", {});
    begin(kept, "nightly", {"--keep"});
    const nlohmann::json report = status();
    for (const nlohmann::json& job : report.at("jobs"))
      (job.at("name") == "hourly" ? plain : kept).id = id_of(job.at("job").get<std::string>());
    ASSERT_TRUE(plain.id && kept.id);
  }

  // At address_, which is the real one then.
  void serve() {
    Arguments arguments{"--bind",      address_,  "--keys", path("keys"),  "--durable",
                        path("state"), "--lease", "100s",   "--heartbeat", "10s"};
    arguments.insert(arguments.end(), limits.begin(), limits.end());
    broker = &start("ventile-broker", arguments);
    const std::string line = broker->line_with("serving clients and workers on ");
    ASSERT_NE(line, "");
    address_ = line.substr(line.rfind(' ') + 1);
  }
  std::unique_ptr<Rogue> rogue(const Disguise& as) const {
    const std::vector<KeyRole> roles{KeyRole::worker, KeyRole::client, KeyRole::admin, KeyRole::sink};
    return std::make_unique<Rogue>(address_, as.role, *Keys::open(path("keys") + "/" + as.key, roles));
  }
  // Its functions are none that honest tasks need.
  std::unique_ptr<Rogue> enrolled(const Disguise& as) const {
    auto one = rogue(as);
    one->enrol(one->hello("nothing"));
    return one;
  }
  // A worker that has been given tasks of an honest job.
  std::unique_ptr<Rogue> leaseholder(Tasks& own) const {
    auto one = rogue(as_worker());
    one->enrol(one->hello("hold", 1));
    own = one->hear<Tasks>();
    EXPECT_EQ(own.range.count, 1U);
    return one;
  }
  // The session is over, and only a HELLO is heard.
  static void expect_shut_out(Rogue& one) {
    one.say(Heartbeat{});
    one.hear<HelloAgain>();
  }
  // What it has been given goes back, and does not count as a death.
  static void leave(Rogue& one) {
    one.say(Bye{});
    one.hear_its_end();
  }
  nlohmann::json status() {
    Process& asked = start("ventile", {"status", "--json", "--connect", address_, "--keys", path("keys")});
    EXPECT_EQ(asked.wait(), 0) << asked.errors();
    return nlohmann::json::parse(asked.output());
  }
  std::uint64_t refused(const char* reason) { return status().at("refusals").at(reason); }
  // The honest ones go on as if nothing had been, and never had to introduce themselves again.
  void expect_no_harm() {
    for (HonestJob* const job : {&plain, &kept}) {
      EXPECT_TRUE(job->client->running()) << "its first task was still to come";
      job->gate.open(0);
    }
    for (HonestJob* const job : {&plain, &kept}) {
      EXPECT_EQ(job->client->wait(), 0) << job->client->errors();
      const Summary summary = summary_in(job->client->output());
      EXPECT_EQ(summary.done, static_cast<std::uint64_t>(tasks));
      EXPECT_EQ(summary.lost + summary.counted_twice + summary.retries, 0U);
      EXPECT_EQ(sorted_lines(job->results), numbers_below(tasks));
      EXPECT_EQ(introductions_of(*job->client, *broker), 1);
    }
    EXPECT_EQ(introductions_of(*worker, *broker), 1);
    EXPECT_TRUE(worker->running());
    EXPECT_TRUE(broker->running());
    EXPECT_THAT(worker->errors(), ::testing::Not(::testing::HasSubstr("refused")));
  }

  Arguments limits;  // For the broker, beside what it needs.
  HonestJob plain{path("plain")};
  HonestJob kept{path("kept")};
  Process* broker = nullptr;
  Process* worker = nullptr;

private:
  void make_keys() {
    EXPECT_EQ(start("ventile", {"keygen", "--out", path("keys")}).wait(), 0);
    for (const auto& [role, name] :
         {std::pair{"worker", "thief"}, {"worker", "fence"}, {"client", "crook"}, {"admin", "usurper"}})
      ASSERT_EQ(start("ventile", {"keygen", "--out", path("keys"), "--add", role, "--name", name}).wait(), 0);
  }
  void begin(HonestJob& job, const std::string& name, const Arguments& more) {
    job.results = path(name);
    Arguments arguments{"map",
                        "--connect",
                        address_,
                        "--keys",
                        path("keys"),
                        "--range",
                        "0:" + std::to_string(tasks),
                        "--function",
                        "hold",
                        "--args",
                        job.gate.arguments(),
                        "--job",
                        name,
                        "--json",
                        "--output-format",
                        "raw",
                        "--output",
                        job.results};
    arguments.insert(arguments.end(), more.begin(), more.end());
    job.client = &start("ventile", arguments);
    ASSERT_EQ(job.gate.next().worker, worker->pid()) << "no honest task has begun";
  }
  static JobId id_of(const std::string& text) {
    return {std::stoull(text.substr(0, 16), nullptr, 16), std::stoull(text.substr(16), nullptr, 16)};
  }
};

}  // namespace ventile
