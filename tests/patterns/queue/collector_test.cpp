#include <ventile/queue/collector.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr JobId job{1, 1};
constexpr LeaseId lease{{9}, 1};
constexpr IncarnationId alice{3};
constexpr SessionId session_id{77};

// A Collector and what it did. Messages and results go through the real codec.
class CollectorTest : public ::testing::Test {
protected:
  CollectorTest() { start({}); }
  void start(CollectorOptions options) {
    options.node = {1, 2};
    options.incarnation = {5};
    options.window_tasks = 100;
    options.ordered_window = 10;
    collector.emplace(std::move(options));
  }

  void tell(const Message& message, JobId about = job) {
    const Buffer frame = encode({about, {9}, session_id, 0}, message);
    const Result<Received> received = decode(frame);
    ASSERT_TRUE(received) << received.error().message;
    collector->on_message(*received, now);
    collect();
  }
  void welcome() {
    collector->start(now);
    collect();
    tell(Welcome{500, 2000, said<Hello>().greeting});
  }
  Opened open() {
    tell(Open{.name = "squares", .function = "square"});
    did<Collector::OpenOutput>();
    collector->on_output_opened();
    collect();
    return said<Opened>();
  }
  // The session breaks and is opened again.
  Hello reconnect() {
    tell(HelloAgain{});
    auto hello = said<Hello>();
    tell(Welcome{500, 2000, hello.greeting});
    return hello;
  }

  // A worker's results; a task that is `failed` has that outcome.
  FrameId results(Range range, std::vector<Failure> failures = {}, bool folded = false) {
    PayloadWriter payloads{frame_header_size};
    for (std::uint64_t i = 0; i < (folded ? 1 : range.count); ++i) payloads.append(as_bytes("\x01"));
    Results message{.lease = lease, .range = range, .folded = folded, .tries = 1, .failures = std::move(failures)};
    const FrameId id{++frame_count};
    frames[id] = encode({job, alice, {}, 0}, message, std::move(payloads));
    const Result<Received> received = decode(frames[id]);
    EXPECT_TRUE(received);
    collector->on_results(id, received->envelope, std::get<Results>(received->message));
    collect();
    return id;
  }
  std::vector<Settlement> written() {
    collector->on_written(now);
    collect();
    return actions.empty() ? std::vector<Settlement>{} : said<Stored>().settlements;
  }
  static std::vector<std::pair<Range, Verdict>> verdicts(const std::vector<Settlement>& settlements) {
    std::vector<std::pair<Range, Verdict>> all;
    for (const Settlement& settlement : settlements) all.emplace_back(settlement.range, settlement.verdict);
    return all;
  }

  void collect() {
    for (auto& action : collector->take_actions()) actions.push_back(std::move(action));
  }
  template <class A>
  A did() {
    if (actions.empty()) {
      ADD_FAILURE() << "it did nothing";
      return {};
    }
    const Collector::Action action = std::move(actions.front());
    actions.pop_front();
    if (const auto* expected = std::get_if<A>(&action)) return *expected;
    const auto* say = std::get_if<Collector::Say>(&action);
    ADD_FAILURE() << "it did something else" << (say != nullptr ? ": it said " : "")
                  << (say != nullptr ? name_of(say->message) : "");
    return {};
  }
  template <class M>
  M said() {
    const auto say = did<Collector::Say>();
    if (const auto* message = std::get_if<M>(&say.message)) return *message;
    ADD_FAILURE() << "it said " << name_of(say.message);
    return {};
  }

  TimePoint now{1h};
  std::optional<Collector> collector;
  std::deque<Collector::Action> actions;
  std::map<FrameId, Buffer> frames;
  std::uint64_t frame_count = 0;
};

using Given = std::vector<std::pair<Range, Verdict>>;

// --- Results -----------------------------------------------------------------------------------------------------

TEST_F(CollectorTest, a_result_is_acknowledged_when_it_is_written_and_not_before) {
  welcome();
  open();
  const FrameId frame = results({0, 3});
  const auto write = did<Collector::Write>();
  EXPECT_EQ(write.frame, frame);
  EXPECT_EQ(write.range, (Range{0, 3}));
  EXPECT_EQ(did<Collector::Release>().frame, frame);
  EXPECT_TRUE(actions.empty());
  EXPECT_EQ(verdicts(written()), (Given{{{0, 3}, Verdict::stored}}));
}

TEST_F(CollectorTest, a_result_that_comes_twice_counts_once) {
  welcome();
  open();
  results({0, 3});
  actions.clear();
  results({0, 3});
  did<Collector::Release>();
  EXPECT_EQ(verdicts(written()), (Given{{{0, 3}, Verdict::stored}, {{0, 3}, Verdict::duplicate}}));
  EXPECT_EQ(collector->duplicates(), 3U);
}

TEST_F(CollectorTest, of_a_result_that_overlaps_the_missing_part_is_stored) {
  welcome();
  open();
  results({2, 2});
  actions.clear();
  written();
  results({0, 6});
  EXPECT_EQ(did<Collector::Write>().range, (Range{0, 2}));
  EXPECT_EQ(did<Collector::Write>().range, (Range{4, 2}));
  did<Collector::Release>();
  EXPECT_EQ(verdicts(written()),
            (Given{{{2, 2}, Verdict::duplicate}, {{0, 2}, Verdict::stored}, {{4, 2}, Verdict::stored}}));
}

TEST_F(CollectorTest, of_a_folded_result_that_overlaps_nothing_can_be_used) {
  start({.fold = "sum"});
  welcome();
  open();
  results({2, 2}, {}, true);
  did<Collector::Combine>();
  did<Collector::Release>();
  written();
  results({0, 6}, {}, true);
  did<Collector::Release>();
  EXPECT_EQ(verdicts(written()), (Given{{{0, 6}, Verdict::overlap}}));
}

TEST_F(CollectorTest, failures_are_told_with_their_verdict) {
  welcome();
  open();
  results({0, 3}, {{1, Outcome::failed}});
  actions.clear();
  const auto settlements = written();
  ASSERT_EQ(settlements.size(), 1U);
  EXPECT_EQ(settlements[0].failures.front().range, (Range{1, 1}));
  EXPECT_EQ(collector->ledger().count(Outcome::failed), 1U);
}

TEST_F(CollectorTest, results_of_another_job_are_dropped) {
  welcome();
  results({0, 3});
  did<Collector::Release>();
  EXPECT_TRUE(written().empty());
  EXPECT_EQ(collector->refused(), 1U);
}

TEST_F(CollectorTest, proposed_outcomes_are_taken_where_there_is_none) {
  welcome();
  open();
  results({0, 2});
  actions.clear();
  written();
  tell(Propose{{{0, 4}}, Outcome::cancelled, 0, "cancelled", "it was ended"});
  const auto write = did<Collector::WriteOutcome>();
  EXPECT_EQ(write.range, (Range{2, 2}));
  EXPECT_EQ(write.outcome, Outcome::cancelled);
  EXPECT_EQ(verdicts(written()), (Given{{{0, 2}, Verdict::duplicate}, {{2, 2}, Verdict::stored}}));
}

TEST_F(CollectorTest, the_credit_moves_on_with_what_is_stored) {
  welcome();
  EXPECT_EQ(open().credit.tasks, 100U);
  results({0, 3});
  actions.clear();
  collector->on_written(now);
  collect();
  EXPECT_EQ(said<Stored>().credit.tasks, 103U);
}

// --- In order ----------------------------------------------------------------------------------------------------

TEST_F(CollectorTest, ordered_results_wait_for_those_before_them) {
  start({.ordered = true});
  welcome();
  EXPECT_EQ(open().credit.number_limit, 10U);
  const FrameId later = results({3, 2});
  EXPECT_TRUE(actions.empty());
  EXPECT_EQ(verdicts(written()), (Given{{{3, 2}, Verdict::stored}})) << "it is stored, though not written";
  const FrameId first = results({0, 3});
  EXPECT_EQ(did<Collector::Write>().frame, first);
  EXPECT_EQ(did<Collector::Write>().frame, later);
}

TEST_F(CollectorTest, ordered_output_limits_how_far_ahead_numbers_may_be) {
  start({.ordered = true});
  welcome();
  open();
  results({0, 3});
  actions.clear();
  collector->on_written(now);
  collect();
  EXPECT_EQ(said<Stored>().credit.number_limit, 13U);
}

// --- Sessions ----------------------------------------------------------------------------------------------------

TEST_F(CollectorTest, a_sink_that_comes_back_says_for_which_job_it_has_results) {
  welcome();
  open();
  results({0, 3}, {{1, Outcome::failed}});
  collector->on_written(now);
  collect();
  actions.clear();
  EXPECT_EQ(reconnect().held, (std::vector<HeldRange>{{.job = job}}));
  tell(Open{.name = "squares", .function = "square"});
  const auto opened = said<Opened>();
  EXPECT_EQ(opened.have, (std::vector<Range>{{0, 3}}));
  EXPECT_EQ(opened.exceptions, (std::vector<RangeOutcome>{{{1, 1}, Outcome::failed}}));
}

TEST_F(CollectorTest, nothing_is_said_of_a_job_before_it_is_opened_in_the_session) {
  welcome();
  open();
  reconnect();
  results({0, 3});
  actions.clear();
  EXPECT_TRUE(written().empty());
  tell(Open{.name = "squares", .function = "square"});
  said<Opened>();
  EXPECT_EQ(verdicts(written()), (Given{{{0, 3}, Verdict::stored}}));
}

TEST_F(CollectorTest, a_welcome_to_an_older_hello_is_ignored) {
  welcome();
  tell(HelloAgain{});
  said<Hello>();
  tell(Welcome{500, 2000, 1});
  EXPECT_FALSE(collector->open());
}

TEST_F(CollectorTest, works_for_one_job_at_a_time) {
  welcome();
  open();
  tell(Open{.name = "cubes", .function = "cube"}, JobId{2, 2});
  EXPECT_FALSE(said<Opened>().refusal.empty());
}

// --- The end -----------------------------------------------------------------------------------------------------

TEST_F(CollectorTest, the_output_is_closed_when_everything_is_acknowledged) {
  welcome();
  open();
  results({0, 3});
  actions.clear();
  tell(End{3});
  EXPECT_TRUE(actions.empty());
  collector->on_written(now);
  collect();
  said<Stored>();
  EXPECT_EQ(did<Collector::Finalise>().total, 3U);
  collector->on_finalised(now);
  collect();
  EXPECT_EQ(said<Closed>().outcomes[0], 3U);
  tell(Close{});
  said<Bye>();
  EXPECT_EQ(did<Collector::Leave>().ending, Collector::Ending::done);
}

TEST_F(CollectorTest, closed_is_said_again_when_it_was_lost_with_its_session) {
  welcome();
  open();
  tell(End{0});
  did<Collector::Finalise>();
  collector->on_finalised(now);
  collect();
  said<Closed>();
  reconnect();
  tell(Open{.name = "squares", .function = "square"});
  said<Opened>();
  tell(End{0});
  said<Closed>();
}

// It once introduced itself for ever to a ventilator that had left before its CLOSE could.
TEST_F(CollectorTest, a_sink_that_has_closed_its_output_leaves_when_nobody_answers) {
  welcome();
  open();
  tell(End{0});
  did<Collector::Finalise>();
  collector->on_finalised(now);
  collect();
  said<Closed>();
  now += CollectorOptions{}.finished_after - 1ms;
  collector->on_tick(now);
  collect();
  did<Notice>();
  said<Hello>();
  now += 2ms;
  collector->on_tick(now);
  collect();
  EXPECT_EQ(did<Collector::Leave>().ending, Collector::Ending::done);
}

TEST_F(CollectorTest, a_sink_that_stays_takes_the_next_job) {
  start({.stay = true});
  welcome();
  open();
  results({0, 3});
  actions.clear();
  tell(Close{});
  EXPECT_TRUE(actions.empty());
  EXPECT_TRUE(open().have.empty());
}

// It once said it in OPENED and then in STORED, and the dispatcher complained of every batch that had come meanwhile.
TEST_F(CollectorTest, what_comes_while_it_has_no_session_is_acknowledged_once) {
  welcome();
  open();
  results({0, 2});
  collector->on_written(now);
  collect();
  actions.clear();
  tell(HelloAgain{});
  const auto hello = said<Hello>();
  results({2, 3});
  collector->on_written(now);
  collect();
  actions.clear();
  tell(Welcome{500, 2000, hello.greeting});
  tell(Open{.name = "squares", .function = "square"});
  EXPECT_EQ(said<Opened>().have, (std::vector<Range>{{0, 2}}));
  collector->on_written(now);
  collect();
  const auto stored = said<Stored>();
  ASSERT_EQ(stored.settlements.size(), 1U);
  EXPECT_EQ(stored.settlements[0].range, (Range{2, 3}));
  EXPECT_EQ(stored.settlements[0].verdict, Verdict::stored);
}

TEST_F(CollectorTest, says_where_it_is_until_something_that_was_lent_cannot_be_read) {
  CollectorOptions options;
  options.node = {5, 5};
  options.incarnation = {5};
  options.machine = {7, 8};
  collector.emplace(std::move(options));
  collector->start(now);
  collect();
  EXPECT_EQ(said<Hello>().machine, (MachineId{7, 8}));
  tell(Welcome{500, 2000, 1});
  open();
  collector->on_unreadable({Code::unavailable, "It is gone."}, now);
  collect();
  did<Notice>();
  const auto hello = said<Hello>();
  EXPECT_EQ(hello.machine, MachineId{});
  ASSERT_EQ(hello.held.size(), 1U) << "it keeps its job";
  EXPECT_EQ(hello.held[0].job, job);
  tell(Welcome{500, 2000, 2});
  collector->on_unreadable({Code::unavailable, "It is gone."}, now);
  collect();
  EXPECT_TRUE(collector->open()) << "whoever sends notes could end one session after another";
}

TEST_F(CollectorTest, speaks_as_often_as_it_was_told_last) {
  welcome();
  tell(Pace{4000, 16'000}, {});
  const auto words = [&](Duration after) {
    now += after;
    collector->on_tick(now);
    collect();
    return actions.size();
  };
  EXPECT_EQ(words(500ms), 1U);
  said<Heartbeat>();
  EXPECT_EQ(words(3999ms), 0U) << "neither a word of its own nor a doubt of the dispatcher";
  EXPECT_EQ(words(1ms), 1U);
  said<Heartbeat>();
}

// It once kept its job for ever, and the job of the next dispatcher waited for a sink.
TEST_F(CollectorTest, a_sink_whose_job_is_unknown_to_the_dispatcher_leaves) {
  welcome();
  open();
  reconnect();
  now += CollectorOptions{}.orphan_after + 1ms;
  tell(Heartbeat{}, {});
  collector->on_tick(now);
  collect();
  EXPECT_EQ(said<Bye>().reason, ByeReason::failed);
  EXPECT_EQ(did<Collector::Leave>().ending, Collector::Ending::failed);
}

TEST_F(CollectorTest, a_sink_that_stays_forgets_a_job_that_the_dispatcher_does_not_know) {
  start({.stay = true});
  welcome();
  open();
  EXPECT_EQ(reconnect().held.size(), 1U);
  now += CollectorOptions{}.orphan_after + 1ms;
  tell(Heartbeat{}, {});
  collector->on_tick(now);
  collect();
  did<Notice>();
  EXPECT_TRUE(said<Hello>().held.empty());
}

TEST_F(CollectorTest, nothing_is_acknowledged_after_the_output_broke) {
  welcome();
  open();
  results({0, 3});
  actions.clear();
  collector->on_output_failed("no space left on device", now);
  collect();
  did<Notice>();
  EXPECT_EQ(said<Closed>().error, "no space left on device");
  EXPECT_TRUE(written().empty());
}

// --- A durable sink ----------------------------------------------------------------------------------------------

class DurableCollectorTest : public CollectorTest {
protected:
  DurableCollectorTest() { start({.durable = true}); }

  // The job is to be opened, and the disk does not know it yet.
  Collector::Persist open_up_to_the_disk() {
    welcome();
    tell(Open{.name = "squares", .function = "square"});
    did<Collector::OpenOutput>();
    collector->on_output_opened();
    collect();
    return did<Collector::Persist>();
  }
  void open_durably() {
    persist(open_up_to_the_disk());
    said<Opened>();
  }
  Collector::Persist write() {
    collector->on_written(now);
    collect();
    return did<Collector::Persist>();
  }
  void persist(const Collector::Persist& record) {
    records.push_back(record.record);
    collector->on_persisted(record.token, now);
    collect();
  }
  // It is killed, and what comes after it knows what is on the disk.
  void restart(CollectorOptions options) {
    options.durable = true;
    start(std::move(options));
    actions.clear();
    for (const SinkRecord& record : records) collector->restore(record);
    collect();
  }

  std::vector<SinkRecord> records;  // On the disk.
};

TEST_F(DurableCollectorTest, takes_a_job_when_the_disk_knows_it_and_not_before) {
  const Collector::Persist record = open_up_to_the_disk();
  EXPECT_TRUE(record.record.whole);
  EXPECT_TRUE(actions.empty());
  persist(record);
  said<Opened>();
}

// OPENED twice is out of place: the dispatcher ended the session, and the sink left for good.
TEST_F(DurableCollectorTest, answers_the_OPEN_of_an_earlier_session_to_nobody) {
  const Collector::Persist record = open_up_to_the_disk();
  reconnect();
  persist(record);
  EXPECT_TRUE(actions.empty());
  tell(Open{.name = "squares", .function = "square"});
  said<Opened>();
  EXPECT_TRUE(actions.empty());
}

TEST_F(DurableCollectorTest, acknowledges_what_is_on_the_disk_and_nothing_else) {
  open_durably();
  results({0, 3});
  did<Collector::Write>();
  did<Collector::Release>();
  const Collector::Persist record = write();
  EXPECT_EQ(record.record.settled, (std::vector<Range>{{0, 3}}));
  EXPECT_TRUE(actions.empty()) << "it is written, and may be gone";
  persist(record);
  EXPECT_EQ(verdicts(said<Stored>().settlements), (Given{{{0, 3}, Verdict::stored}}));
}

TEST_F(DurableCollectorTest, does_not_acknowledge_with_one_sync_what_the_next_one_writes) {
  open_durably();
  results({0, 3});
  did<Collector::Write>();
  did<Collector::Release>();
  const Collector::Persist first = write();
  results({3, 2});
  did<Collector::Write>();
  did<Collector::Release>();
  const Collector::Persist second = write();
  persist(first);
  EXPECT_EQ(verdicts(said<Stored>().settlements), (Given{{{0, 3}, Verdict::stored}}));
  persist(second);
  EXPECT_EQ(verdicts(said<Stored>().settlements), (Given{{{3, 2}, Verdict::stored}}));
}

TEST_F(DurableCollectorTest, does_not_say_to_a_new_session_that_it_has_what_may_be_gone) {
  open_durably();
  results({0, 3});
  did<Collector::Write>();
  did<Collector::Release>();
  const Collector::Persist record = write();
  reconnect();
  tell(Open{.name = "squares", .function = "square"});
  EXPECT_TRUE(said<Opened>().have.empty());
  persist(record);
  EXPECT_EQ(verdicts(said<Stored>().settlements), (Given{{{0, 3}, Verdict::stored}}));
}

TEST_F(DurableCollectorTest, comes_back_with_what_it_had) {
  open_durably();
  results({0, 3}, {{1, Outcome::failed}});
  did<Collector::Write>();
  did<Collector::Release>();
  persist(write());
  restart({});
  EXPECT_TRUE(collector->has_job());
  EXPECT_EQ(collector->ledger().count(), 3U);
  EXPECT_EQ(collector->ledger().count(Outcome::failed), 1U);
  collector->start(now);
  collect();
  EXPECT_EQ(said<Hello>().held.front().job, job);
}

TEST_F(DurableCollectorTest, with_order_keeps_the_payloads_that_wait) {
  start({.ordered = true, .durable = true});
  open_durably();
  const FrameId frame = results({5, 2});
  const Collector::Persist record = write();
  ASSERT_EQ(record.kept.size(), 1U);
  EXPECT_EQ(record.kept.front().frame, frame);
  persist(record);
  restart({.ordered = true});
  EXPECT_TRUE(collector->restore_kept({77}, {5, 2}, 10));
  EXPECT_EQ(collector->held_bytes(), 10U);
  EXPECT_FALSE(collector->ledger().touches({0, 5}));
}

TEST_F(DurableCollectorTest, knows_after_a_restart_that_its_output_is_whole) {
  open_durably();
  results({0, 3});
  did<Collector::Write>();
  did<Collector::Release>();
  persist(write());
  said<Stored>();
  tell(End{3});
  did<Collector::Finalise>();
  collector->on_finalised(now);
  collect();
  const auto record = did<Collector::Persist>();
  EXPECT_TRUE(record.record.finalised);
  EXPECT_TRUE(actions.empty()) << "CLOSED before the disk knows it";
  persist(record);
  said<Closed>();
  restart({});
  EXPECT_TRUE(collector->finalised());
}

TEST_F(DurableCollectorTest, can_say_all_that_it_knows_in_one_record) {
  open_durably();
  results({0, 3}, {{1, Outcome::failed}});
  did<Collector::Write>();
  did<Collector::Release>();
  persist(write());
  const SinkRecord whole = collector->snapshot();
  records = {whole};
  restart({});
  EXPECT_EQ(collector->snapshot(), whole);
}

TEST_F(DurableCollectorTest, reads_a_record_of_all_that_it_knows_in_place_of_those_before_it) {
  open_durably();
  results({0, 3});
  did<Collector::Write>();
  did<Collector::Release>();
  persist(write());
  const SinkRecord whole = collector->snapshot();
  records.push_back(whole);
  restart({});
  EXPECT_EQ(collector->ledger().count(Outcome::done), 3U);
}

TEST_F(DurableCollectorTest, with_order_goes_on_behind_what_it_had_written) {
  start({.ordered = true, .durable = true});
  open_durably();
  results({0, 3});
  did<Collector::Write>();
  persist(write());
  restart({.ordered = true});
  EXPECT_EQ(collector->snapshot().written, 3U);
}

}  // namespace
}  // namespace ventile
