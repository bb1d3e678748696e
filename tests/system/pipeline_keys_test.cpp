// Pipelines with keys: who pulls from a stream, who does not, and until when.
#include <string>

#include <gmock/gmock.h>

#include <tests/system/keys_fixture.hpp>
#include <tests/system/rogue.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;

class PipelineKeys : public KeysSystemTest {
protected:
  Process& stream(Arguments more) {
    more.insert(more.end(), {"--pattern", "pipeline", "--keys", keys()});
    return start_ventilator(more);
  }
  Process& stage(const std::string& as = "worker", Arguments more = {}) {
    more.insert(more.end(), {"-j", "1", "--pattern", "pipeline", "--keys", keys(as)});
    return start_worker(more);
  }
  static std::string stream_address(Process& ventilator) {
    const std::string line = ventilator.line_with("streaming on ");
    const std::size_t begin = line.find("streaming on ") + std::string{"streaming on "}.size();
    return line.substr(begin, line.find(';') - begin);
  }
};

TEST_F(PipelineKeys, a_pipeline_over_tcp_runs_with_keys) {
  Process& ventilator = stream({"--range", "0:100000", "--function", "index"});
  Process& sink = collect();
  stage();
  Process& once = stage("worker", {"--once"});
  EXPECT_EQ(exact_summary(ventilator).done, 100'000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(once.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(100'000));
}

TEST_F(PipelineKeys, workers_of_both_patterns_share_a_pipeline_with_keys) {
  Process& ventilator = stream({"--range", "0:100000", "--function", "index"});
  Process& sink = collect();
  stage();
  work();
  EXPECT_EQ(exact_summary(ventilator).done, 100'000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(100'000));
}

TEST_F(PipelineKeys, a_stream_is_pulled_by_workers_only) {
  const std::string address = stream_address(stream({"--range", "0:1", "--function", "index"}));
  const Keys worker = *Keys::open(keys(), {KeyRole::worker});
  const std::string server_key = worker.to_meet(KeyRole::dispatcher).server_key;
  EXPECT_FALSE((Intruder<PullSocket>{address, {}}.is_let_in())) << "without keys";
  EXPECT_FALSE((Intruder<PullSocket>{address, {KeyPair::make(), server_key, nullptr}}.is_let_in()));
  for (const KeyRole role : {KeyRole::client, KeyRole::admin, KeyRole::sink, KeyRole::dispatcher}) {
    const Keys other = *Keys::open(keys(), {role});
    EXPECT_FALSE((Intruder<PullSocket>{address, other.to_meet(KeyRole::dispatcher)}.is_let_in())) << to_string(role);
  }
  EXPECT_TRUE((Intruder<PullSocket>{address, worker.to_meet(KeyRole::dispatcher)}.is_let_in()));
}

TEST_F(PipelineKeys, a_stage_with_a_wrong_key_or_none_ends_and_says_why) {
  stream({"--range", "0:1", "--function", "index"});
  Process& without = start_worker({"--pattern", "pipeline"});
  EXPECT_EQ(without.wait(), 4);
  EXPECT_THAT(without.errors(), HasSubstr("it asks for keys, and we have none"));
  ASSERT_EQ(start("ventile", {"keygen", "--out", keys(), "--add", "worker", "--name", "gpu-3"}).wait(), 0);
  ASSERT_EQ(start("ventile", {"keys", "revoke", "gpu-3", "--keys", keys()}).wait(), 0);
  Process& revoked = stage("worker-gpu-3");
  EXPECT_EQ(revoked.wait(), 4);
  EXPECT_THAT(revoked.errors(), HasSubstr("its list has not the key that we have"));
  Process& client = start_worker({"--pattern", "pipeline", "--keys", keys("client")});
  EXPECT_EQ(client.wait(), 2);
  EXPECT_THAT(client.errors(), HasSubstr("holds the key of a client, expected that of a worker"));
}

// Whoever has a worker's key may push to the sink, but only what it has pulled is believed.
TEST_F(PipelineKeys, results_of_batches_that_were_never_pulled_are_refused) {
  Gate gate{path("gate")};
  gate.mark(5);
  Process& ventilator = stream({"--range", "0:1000", "--function", "hold", "--args", gate.arguments()});
  Process& sink = collect();
  const std::string results = results_address(sink);
  stage();
  gate.next();
  Rogue rogue{address_, Role::worker, *Keys::open(keys(), {KeyRole::worker})};
  rogue.push(results, Results{{{1}, 1}, {0, 1}, false, 1, 0, {}, {}}, {1, 1});
  sink.line_with("has not the seal of a lease");
  gate.open(5);
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(PipelineKeys, a_stage_that_is_revoked_pulls_no_more_and_what_it_pushes_is_dropped) {
  Gate gate{path("gate")};
  gate.mark(5);
  Process& ventilator = stream({"--range", "0:1000", "--function", "hold", "--args", gate.arguments()});
  Process& sink = collect();
  ASSERT_EQ(start("ventile", {"keygen", "--out", keys(), "--add", "worker", "--name", "gpu-3"}).wait(), 0);
  Process& revoked = stage("worker-gpu-3");
  EXPECT_EQ(gate.next().worker, revoked.pid());
  Process& faithful = stage("worker", {"--once"});
  ASSERT_EQ(start("ventile", {"keys", "revoke", "gpu-3", "--keys", keys()}).wait(), 0);
  EXPECT_NE(ventilator.line_with("opens anew for the others"), "");
  EXPECT_NE(sink.line_with("1 may come in"), "") << "each reads its list by itself";
  gate.open(5);
  sink.line_with("refused bytes on the results socket: the key of their sender is not on the list any more");
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
  EXPECT_EQ(revoked.wait(), 4) << "nobody lets it in";
  EXPECT_EQ(faithful.wait(), 0) << "the stream opens anew, and one that is to serve once is still there";
}

}  // namespace
}  // namespace ventile
