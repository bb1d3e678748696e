// What a stage makes of a stream that is not as it should be.
#include <ventile/pipeline/stage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <tests/core/net/fixture.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// A stage that pulls from the test and pushes its results to it.
class StageTest : public NetTest {
protected:
  StageTest() {
    tasks_.add("triple", [](std::int64_t value) { return 3 * value; });
    const Endpoint stream = *push.bind(inproc("stream"));
    results_ = *pull.bind(inproc("results"));
    StageOptions options{.pull = stream, .slots = 1};
    options.log = Log{[this](Level, std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
    }};
    stage_ = std::make_unique<Stage>(context, tasks_, std::move(options));
    thread_ = std::thread([this] { EXPECT_TRUE(stage_->run()); });
    reactor.add(pull, [this] {
      auto frame = std::make_unique<Frame>();
      if (!pull.receive(*frame)) return Reading::drained;
      take(frame->bytes());
      return Reading::more;
    });
  }
  ~StageTest() override {
    stage_->drain();
    thread_.join();
    reactor.remove(pull);
  }

  void take(Bytes bytes) {
    const Result<Received> received = decode(bytes);
    ASSERT_TRUE(received);
    if (const auto* part = std::get_if<Part>(&received->message)) {
      const Result<Buffer> whole = parts_.add(*part);
      ASSERT_TRUE(whole);
      if (!whole->empty()) take(*whole);
    } else {
      results.push_back(std::get<Results>(received->message).range);
    }
  }
  Flow flow(Range range, bool index) const {
    Flow made;
    made.function = "triple";
    made.index = {.enabled = index, .start = 0, .step = 1};
    made.results_address = results_.to_string();
    made.lease = {{9}, ++leases_};
    made.range = range;
    return made;
  }
  void say(const Flow& message, JobId job = {1, 1}) {
    PayloadWriter payloads{frame_header_size};
    for (std::uint64_t i = 0; !message.index.enabled && i < message.range.count; ++i) {
      Packer packer{payloads.buffer()};
      pack_value(packer, std::int64_t{7});
      payloads.end_payload();
    }
    Frame frame{encode({job, {9}, {}, 1}, message, std::move(payloads))};
    EXPECT_TRUE(turn_until([&] { return push.send(frame) == SendOutcome::sent; }));
  }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

  PushSocket push{context};
  PullSocket pull{context};
  std::vector<Range> results;

private:
  static Endpoint inproc(const std::string& name) { return {Transport::inproc, "stage-test-" + name, 0}; }

  TaskRegistry tasks_;
  Assembler parts_;
  Endpoint results_;
  mutable std::uint64_t leases_ = 0;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::unique_ptr<Stage> stage_;
  std::thread thread_;
};

// A stage took what a job's first batch is for what all of them are, and ended at one without payloads.
TEST_F(StageTest, batches_with_payloads_of_a_job_without_are_refused) {
  say(flow({0, 2}, true));
  say(flow({2, 2}, false));
  say(flow({4, 2}, true));
  EXPECT_TRUE(turn_until([&] { return results.size() == 2; }));
  EXPECT_EQ(results, (std::vector<Range>{{0, 2}, {4, 2}}));
  EXPECT_THAT(lines(), Contains(HasSubstr("the tasks of its job have none")));
}

TEST_F(StageTest, batches_without_payloads_of_a_job_with_them_are_refused) {
  say(flow({0, 2}, false));
  say(flow({2, 2}, true));
  say(flow({4, 2}, false));
  EXPECT_TRUE(turn_until([&] { return results.size() == 2; }));
  EXPECT_EQ(results, (std::vector<Range>{{0, 2}, {4, 2}}));
  EXPECT_THAT(lines(), Contains(HasSubstr("the tasks of its job have payloads")));
}

TEST_F(StageTest, of_a_batch_that_cannot_run_only_so_much_fails_at_once) {
  Flow unknown = flow({0, std::uint64_t{1} << 31}, true);
  unknown.function = "nobody has this";
  say(unknown);
  Flow after = flow({0, 2}, true);
  say(after, {2, 2});  // In a slot that is free, for nothing is left of the other.
  EXPECT_TRUE(turn_until([&] { return results.size() == 2; }));
  EXPECT_EQ(results, (std::vector<Range>{{0, std::uint64_t{1} << 20}, {0, 2}}));
}

}  // namespace
}  // namespace ventile
