// Workers with good keys that forge results: each may spoil what was leased to it, and nothing else.
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <tests/system/fabric.hpp>
#include <tests/system/rogue.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;

class ForgedTest : public SystemTest {
protected:
  ForgedTest() {
    EXPECT_EQ(start("ventile", {"keygen", "--out", path("keys")}).wait(), 0);
    EXPECT_EQ(start("ventile", {"keygen", "--out", path("keys"), "--add", "worker", "--name", "gpu-3"}).wait(), 0);
  }

  Keys keys(const std::string& of) const { return *Keys::open(path("keys") + "/" + of, {KeyRole::worker}); }
  Process& work() { return start_worker({"-j", "1", "--keys", path("keys")}); }
  Process& collect(Arguments more = {}) {
    more.insert(more.end(), {"--output", path("results"), "--format", "raw", "--keys", path("keys")});
    return start_sink(more);
  }

  // Takes one batch as that worker.
  struct Leased {
    JobId job;
    Tasks tasks;
    std::string sink;
  };
  static Leased take_lease(Rogue& rogue) {
    rogue.enrol(rogue.hello("index", 1'000'000));
    Leased leased;
    leased.sink = rogue.hear<Route>().address;
    leased.tasks = rogue.hear<Tasks>();
    leased.job = rogue.envelope.job;
    return leased;
  }
  static Results result_of(const Tasks& tasks) {
    Results results;
    results.lease = tasks.lease;
    results.range = tasks.range;
    results.tries = 1;
    results.seal = tasks.seal;
    return results;
  }
};

TEST_F(ForgedTest, a_worker_cannot_forge_the_results_of_another) {
  Process& ventilator =
      start_ventilator({"--range", "0:1000", "--function", "index", "--no-speculate", "--keys", path("keys")});
  Process& sink = collect();
  {
    Rogue victim{address_, Role::worker, keys("worker")};
    Rogue thief{address_, Role::worker, keys("worker-gpu-3")};
    const Leased hers = take_lease(victim);
    const Leased its = take_lease(thief);
    ASSERT_TRUE(hers.tasks.seal.code);
    ASSERT_NE(hers.tasks.range.first, its.tasks.range.first);

    std::vector<Results> forged(5, result_of(hers.tasks));
    forged[0].seal = {};                                // Nothing,
    forged[1].seal = its.tasks.seal;                    // what it has,
    forged[2].seal = {{0, 1000}, its.tasks.seal.code};  // what it has, stretched,
    forged[3].lease = its.tasks.lease;                  // under its own lease,
    forged[3].seal = {hers.tasks.range, its.tasks.seal.code};
    // and even what it cannot know: forged[4] is what the victim would send.
    for (const Results& results : forged) thief.push(hers.sink, results, hers.job);
    sink.line_with("refused bytes on the results socket: a result has not the seal of a lease of its sender");
    // Its own it may spoil: that this counts shows that what came before it has been read.
    thief.push(its.sink, result_of(its.tasks), its.job);
    thief.hear<Verdicts>();
  }
  work();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  const std::vector<std::string> lines = sorted_lines(path("results"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "null"), 1) << "what was leased to it";
  EXPECT_THAT(sink.errors(), HasSubstr("refused on the results socket: 5 forged"));
}

// A broker passes them on: a forged one ends its sender's session, and no other.
TEST_F(ForgedTest, results_on_their_way_through_a_broker_are_looked_at_there) {
  Process& broker = start("ventile-broker", {"--bind", "tcp://127.0.0.1:0", "--keys", path("keys")});
  const std::string line = broker.line_with("serving clients and workers on ");
  address_ = line.substr(line.rfind(' ') + 1);
  Process& map = start("ventile", {"map", "--connect", address_, "--range", "0:1000", "--function", "index", "--fold",
                                   "sum", "--keys", path("keys")});
  {
    Rogue rogue{address_, Role::worker, keys("worker")};
    const Leased leased = take_lease(rogue);
    Results forged = result_of(leased.tasks);
    forged.range = {leased.tasks.range.end(), 1};
    rogue.say(forged, leased.job);
    const Refused refused = rogue.hear<Refused>();
    EXPECT_EQ(refused.reason, Refusal::unauthorized);
    EXPECT_THAT(refused.message, HasSubstr("has not the seal of a lease of its own"));
  }
  work();
  EXPECT_EQ(map.wait(), 0);
  EXPECT_EQ(map.output(), "{\"fold\":499500,\"tasks\":1000}\n");
}

// The ventilator is killed while a worker has results that nobody has seen; under its keys they still count.
TEST_F(ForgedTest, results_of_leases_of_a_ventilator_that_was_killed_still_count) {
  Gate gate{path("gate")};
  gate.mark(0);
  address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  const Arguments job{"--range",          "0:1000",         "--function", "hold",   "--args",
                      gate.arguments(),   "--no-speculate", "--job",      "forged", "--durable",
                      path("ventilator"), "--keys",         path("keys")};
  Process& first = start_ventilator(job);
  Process& sink = collect({"--durable", path("sink")});
  Process& worker = work();
  gate.next();
  first.kill();
  first.wait();
  gate.open(0);
  Process& second = start_ventilator(job);
  EXPECT_EQ(exact_summary(second).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
  EXPECT_EQ(sink.errors().find("refused"), std::string::npos) << sink.errors();
  EXPECT_TRUE(worker.running());
}

}  // namespace
}  // namespace ventile
