// Pipelines as a program builds them, of its own parts, over every transport.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_files.hpp>
#include <ventile/keys/key_tree.hpp>
#include <ventile/net/context.hpp>
#include <ventile/pipeline/source.hpp>
#include <ventile/pipeline/stage.hpp>
#include <ventile/queue/sink.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

// What has come out, by number.
struct Collected {
  std::map<Number, std::int64_t> values;
  std::map<Number, Outcome> failures;
  std::uint64_t twice = 0;
  std::optional<std::int64_t> folded;
};

class CollectingOutput : public Output {
public:
  explicit CollectingOutput(Collected& collected) : collected_(collected) {}

  Status write(const ResultItem& item) override {
    if (item.outcome != Outcome::done) {
      collected_.failures.emplace(item.number, item.outcome);
      return {};
    }
    const Result<std::int64_t> value = unpack_from<std::int64_t>(item.payload);
    if (!value) return value.error();
    if (!collected_.values.emplace(item.number, *value).second) ++collected_.twice;
    return {};
  }
  Status write_fold(Bytes packed, std::uint64_t) override {
    const Result<std::int64_t> value = unpack_from<std::int64_t>(packed);
    if (!value) return value.error();
    collected_.folded = *value;
    return {};
  }
  Status flush() override { return {}; }
  Status close() override { return {}; }

private:
  Collected& collected_;
};

class Pipeline : public ::testing::TestWithParam<const char*> {
protected:
  Pipeline() {
    tasks_.add("triple", [](std::int64_t value) { return 3 * value; });
    tasks_.add("add one", [](std::int64_t value) { return value + 1; });
    tasks_.add("no sevens", [](std::int64_t value) {
      if (value % 7 == 0) throw TaskFailure("seven", "a multiple of seven");
      return value;
    });
    tasks_.add("once", [](std::int64_t value) { return value; }, {.repeatable = false});
    tasks_.add_fold<std::int64_t>("sum", std::plus<>{});
    if (with_keys()) make_keys();
  }
  ~Pipeline() override {
    for (const auto& stage : stages_) stage->drain();
    for (std::thread& thread : threads_) thread.join();
    if (drain_thread_.joinable()) drain_thread_.join();
  }

  static bool with_keys() { return std::string{GetParam()} == "keys"; }
  // Stages in a row let in the workers that they know.
  void make_keys() {
    EXPECT_TRUE(make_key_tree(folder_.path("keys")));
    std::vector<KnownPeer> peers = *read_peers(folder_.path("keys/worker"));
    const std::vector<KnownPeer> known = *read_peers(folder_.path("keys/sink"));
    for (const KnownPeer& peer : known)
      if (peer.role == KeyRole::worker) peers.push_back(peer);
    EXPECT_TRUE(write_peers(folder_.path("keys/worker"), peers));
  }
  Keys keys(KeyRole role) const { return with_keys() ? *Keys::open(folder_.path("keys"), {role}) : Keys{}; }

  Endpoint address(const std::string& name) const {
    const std::string transport = GetParam();
    if (transport == "tcp" || with_keys()) return {Transport::tcp, "127.0.0.1", 0};
    if (transport == "ipc") return {Transport::ipc, ::testing::TempDir() + "ventile-" + unique_ + name, 0};
    return {Transport::inproc, unique_ + name, 0};
  }

  // A ventilator of an index job, and the source of its pipeline. Returns where the stream is.
  Endpoint begin(const std::string& function, std::uint64_t count) {
    VentilatorOptions options;
    options.bind = address("dispatcher");
    options.keys = keys(KeyRole::dispatcher);
    options.job.function = function;
    options.job.index.enabled = true;
    options.index_count = count;
    ventilator_ = std::make_unique<Ventilator>(context_, options, nullptr, VentilatorCallbacks{});
    dispatcher_ = *ventilator_->bind();
    source_ = std::make_unique<Source>(context_, SourceOptions{.connect = dispatcher_,
                                                               .bind = address("stream"),
                                                               .keys = keys(KeyRole::dispatcher),
                                                               .functions = {function},
                                                               .once = true});
    Endpoint stream = *source_->bind();
    threads_.emplace_back([this] { EXPECT_TRUE(source_->run()); });
    return stream;
  }

  Stage& add_stage(StageOptions options) {
    options.keys = keys(KeyRole::worker);
    if (with_keys()) options.push_key = "worker";
    stages_.push_back(std::make_unique<Stage>(context_, tasks_, std::move(options)));
    return *stages_.back();
  }
  void start(Stage& stage) {
    threads_.emplace_back([&stage] { EXPECT_TRUE(stage.run()); });
  }
  void drain_into(const std::string& fold = {}) {
    drain_ = std::make_unique<Sink>(context_, tasks_,
                                    SinkOptions{.connect = dispatcher_, .keys = keys(KeyRole::sink), .fold = fold},
                                    [this](std::uint64_t) -> Result<std::unique_ptr<Output>> {
                                      return {std::make_unique<CollectingOutput>(collected_)};
                                    });
    drain_thread_ = std::thread([this] {
      const Result<SinkReport> report = drain_->run();
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_EQ(report->ending, SinkEnding::done) << report->why;
    });
  }
  VentilatorReport run() {
    const Result<VentilatorReport> report = ventilator_->run();
    EXPECT_TRUE(report);
    EXPECT_EQ(report->ending, VentilatorEnding::done) << report->why;
    drain_thread_.join();  // Before anybody looks at what it has collected.
    EXPECT_EQ(collected_.twice, 0U);
    return *report;
  }

  // NOLINTBEGIN(readability-identifier-naming)
  std::string unique_ = to_hex(random_u64());
  TemporaryFolder folder_;
  Context context_;
  TaskRegistry tasks_;
  Endpoint dispatcher_;
  Collected collected_;
  std::unique_ptr<Ventilator> ventilator_;
  std::unique_ptr<Source> source_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::unique_ptr<Sink> drain_;
  std::vector<std::thread> threads_;
  std::thread drain_thread_;
  // NOLINTEND(readability-identifier-naming)
};

TEST_P(Pipeline, of_one_stage_gives_each_number_its_result) {
  const Endpoint stream = begin("triple", 10'000);
  start(add_stage({.pull = stream, .slots = 2}));
  drain_into();
  EXPECT_EQ(run().closed.outcomes[0], 10'000U);
  ASSERT_EQ(collected_.values.size(), 10'000U);
  for (const auto& [number, value] : collected_.values) EXPECT_EQ(value, static_cast<std::int64_t>(3 * number));
}

TEST_P(Pipeline, finds_its_stream_by_the_dispatchers_address) {
  begin("triple", 100);
  start(add_stage({.dispatcher = dispatcher_}));
  drain_into();
  EXPECT_EQ(run().closed.outcomes[0], 100U);
}

TEST_P(Pipeline, of_three_stages_in_a_row_hands_on_what_each_made) {
  const Endpoint stream = begin("triple", 1000);
  Stage& last = add_stage({.bind = address("third"), .function = "triple"});
  const Endpoint third = *last.bind();
  Stage& middle = add_stage({.bind = address("second"), .push = third, .function = "add one"});
  const Endpoint second = *middle.bind();
  start(last);
  start(middle);
  start(add_stage({.pull = stream, .push = second}));
  drain_into();
  EXPECT_EQ(run().closed.outcomes[0], 1000U);
  for (const auto& [number, value] : collected_.values)
    EXPECT_EQ(value, 3 * (3 * static_cast<std::int64_t>(number) + 1));
}

TEST_P(Pipeline, fans_out_to_several_stages_and_in_again) {
  const Endpoint stream = begin("triple", 1000);
  Stage& last = add_stage({.bind = address("last"), .function = "add one"});
  const Endpoint in = *last.bind();
  start(last);
  for (int i = 0; i < 3; ++i) start(add_stage({.pull = stream, .push = in}));
  drain_into();
  EXPECT_EQ(run().closed.outcomes[0], 1000U);
  EXPECT_EQ(collected_.values.at(999), 2998);
}

TEST_P(Pipeline, passes_failures_by_the_stages_behind) {
  const Endpoint stream = begin("no sevens", 700);
  Stage& last = add_stage({.bind = address("last"), .function = "add one"});
  const Endpoint in = *last.bind();
  start(last);
  start(add_stage({.pull = stream, .push = in}));
  drain_into();
  const VentilatorReport report = run();
  EXPECT_EQ(report.closed.outcomes[0], 600U);
  EXPECT_EQ(report.closed.outcomes[1], 100U);
  for (const auto& [number, outcome] : collected_.failures) EXPECT_EQ(number % 7, 0U);
  EXPECT_EQ(collected_.values.at(699), 700);
}

TEST_P(Pipeline, folds_in_its_last_stage) {
  const Endpoint stream = begin("triple", 10'000);
  start(add_stage({.pull = stream, .slots = 2}));
  drain_into("sum");
  EXPECT_EQ(run().closed.outcomes[0], 10'000U);
  EXPECT_EQ(collected_.folded, std::int64_t{3} * 9999 * 10'000 / 2);
}

TEST_P(Pipeline, refuses_functions_that_must_not_run_twice_and_those_it_does_not_have) {
  const Endpoint stream = begin("once", 3);
  start(add_stage({.pull = stream}));
  drain_into();
  EXPECT_EQ(run().closed.outcomes[1], 3U);
  EXPECT_TRUE(collected_.values.empty());
}

INSTANTIATE_TEST_SUITE_P(Transports, Pipeline, ::testing::Values("inproc", "ipc", "tcp", "keys"),
                         [](const auto& transport) { return std::string{transport.param}; });

}  // namespace
}  // namespace ventile
