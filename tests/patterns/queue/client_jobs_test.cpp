// What a durable broker writes down of its clients' jobs, and what it makes of that when it is started again.
#include <ventile/queue/client_jobs.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/journal/journal.hpp>

#include "tests/core/journal/memory_folder.hpp"

namespace ventile {
namespace {

constexpr JobId nightly{1, 1};
constexpr JobId hourly{2, 2};
constexpr TimePoint start{std::chrono::seconds{100}};

ClientJob job_of(JobId id, bool index = false) {
  ClientJob made{id, {3, 4}, "client", {}, {5, 6}};
  made.specification.name = "nightly";
  made.specification.function = "work";
  made.specification.constants = {std::byte{7}};
  made.specification.constant_count = 1;
  made.specification.index.enabled = index;
  made.specification.tries_max = 3;
  made.specification.fold = "sum";
  made.specification.priority = -2;
  made.specification.keep_nanoseconds = 99;
  return made;
}

// A broker's memory, and all that it has written.
class Life {
public:
  std::vector<ClientJobs::Entry> entries;  // NOLINT(readability-identifier-naming)
  ClientJobs jobs;                         // NOLINT(readability-identifier-naming)

  void open(JobId id, bool index = false) {
    write(
        {.job = id, .record = {JobRecord::Kind::opened, {}}, .opened = std::make_shared<ClientJob>(job_of(id, index))});
  }
  // Tasks with a text each; or without any, if there are none.
  void offer(JobId id, Range range, const std::vector<std::string>& texts) {
    PayloadWriter payloads{0};
    for (const std::string& text : texts) payloads.append(as_bytes(text));
    if (!texts.empty()) jobs.keep({id, range, 0}, payloads.view());
    write({.job = id, .record = {JobRecord::Kind::offered, range}, .opened = {}});
  }
  void settle(JobId id, Range range) { jobs.settle({id, range, {}}); }
  void end(JobId id, std::uint64_t total) {
    write({.job = id, .record = {JobRecord::Kind::ended, {0, total}}, .opened = {}});
  }
  void suspect(JobId id, const Suspect& suspect) {
    write({.job = id,
           .record = {JobRecord::Kind::suspected, suspect.range, suspect.suspicion, suspect.deaths_alone},
           .opened = {}});
  }
  void lease(JobId id, Range range, JobRecord::Kind kind) { write({.job = id, .record = {kind, range}, .opened = {}}); }
  void close(JobId id) { write({.job = id, .record = {JobRecord::Kind::closed, {}}, .opened = {}}); }
  void forget(JobId id) { keep(jobs.forget(id)); }
  void snapshot() { entries.push_back({0, BrokerEntryKind::whole, jobs.snapshot()}); }

private:
  std::uint64_t token_ = 0;

  void write(Persist persist) {
    persist.token = ++token_;
    keep(jobs.record(persist));
  }
  void keep(std::optional<ClientJobs::Entry> entry) {
    if (entry) entries.push_back(std::move(*entry));
  }
};

// A broker that is started again on these entries.
struct NextLife {
  Dispatcher dispatcher{{1}, {.durable = true}};
  ClientJobs jobs;
  ClientJobs::Resumed resumed;

  explicit NextLife(const std::vector<ClientJobs::Entry>& entries) {
    for (const ClientJobs::Entry& entry : entries) EXPECT_TRUE(jobs.restore(entry.kind, entry.payload));
    resumed = jobs.resume(dispatcher, start);
  }
  std::string text(JobId id, Number number) const {
    const std::optional<Bytes> payload = jobs.payloads(id)->find(number);
    return payload ? std::string{as_text(*payload)} : "(none)";
  }
};

TEST(ClientJobs, a_job_comes_back_with_its_tasks_under_their_numbers) {
  Life life;
  life.open(nightly);
  life.offer(nightly, {0, 2}, {"a", "bb"});
  life.offer(nightly, {2, 1}, {""});
  life.end(nightly, 3);
  const NextLife next{life.entries};
  EXPECT_EQ(next.resumed.jobs, 1U);
  EXPECT_EQ(next.resumed.tasks, 3U);
  EXPECT_EQ(next.text(nightly, 0), "a");
  EXPECT_EQ(next.text(nightly, 1), "bb");
  EXPECT_EQ(next.text(nightly, 2), "");
  const Report report = next.dispatcher.report(start);
  ASSERT_EQ(report.jobs.size(), 1U);
  EXPECT_EQ(report.jobs[0].name, "nightly");
  EXPECT_EQ(report.jobs[0].submitted, 3U);
  EXPECT_EQ(report.jobs[0].queued, 3U);
  EXPECT_TRUE(report.jobs[0].complete);
  EXPECT_EQ(next.dispatcher.check(), "");
}

TEST(ClientJobs, what_was_asked_for_comes_back_as_it_was) {
  Life life;
  life.open(nightly);
  BrokerMemory memory;
  ASSERT_TRUE(apply_entry(memory, life.entries[0].kind, life.entries[0].payload));
  const OpenJob& open = memory.jobs.at(nightly);
  EXPECT_EQ(open.job.client, (NodeId{3, 4}));
  EXPECT_EQ(open.job.client_name, "client");
  EXPECT_EQ(open.job.specification, job_of(nightly).specification);
}

TEST(ClientJobs, whom_workers_died_with_is_remembered_by_entries_and_snapshots) {
  const std::vector<Suspect> suspects{{{1, 1}, 3, 2}};
  for (const bool with_snapshot : {false, true}) {
    Life life;
    life.open(nightly);
    life.offer(nightly, {0, 2}, {"a", "bb"});
    life.suspect(nightly, suspects.front());
    if (with_snapshot) life.snapshot();
    BrokerMemory memory;
    for (std::size_t i = with_snapshot ? 3 : 0; i < life.entries.size(); ++i)
      ASSERT_TRUE(apply_entry(memory, life.entries[i].kind, life.entries[i].payload));
    EXPECT_EQ(memory.jobs.at(nightly).suspects.all(), suspects);
  }
}

TEST(ClientJobs, what_must_not_begin_again_is_remembered_by_entries_and_snapshots_until_it_is_settled) {
  for (const bool with_snapshot : {false, true}) {
    Life life;
    life.open(nightly);
    life.offer(nightly, {0, 4}, {"a", "b", "c", "d"});
    life.lease(nightly, {0, 4}, JobRecord::Kind::leased);
    life.lease(nightly, {3, 1}, JobRecord::Kind::returned);
    const std::size_t before = life.entries.size();
    if (with_snapshot) {
      life.settle(nightly, {0, 1});
      life.snapshot();
    }
    BrokerMemory memory;
    for (std::size_t i = with_snapshot ? before : 0; i < life.entries.size(); ++i)
      ASSERT_TRUE(apply_entry(memory, life.entries[i].kind, life.entries[i].payload));
    const Number first = with_snapshot ? 1 : 0;
    EXPECT_EQ(memory.jobs.at(nightly).begun.ranges(), (std::vector<Range>{Range::between(first, 3)}));
  }
}

TEST(ClientJobs, whoever_has_an_outcome_is_no_suspect) {
  Life life;
  life.open(nightly);
  life.offer(nightly, {0, 2}, {"a", "bb"});
  life.suspect(nightly, {{0, 2}, 1, 0});
  life.settle(nightly, {0, 1});
  life.snapshot();
  BrokerMemory memory;
  ASSERT_TRUE(apply_entry(memory, life.entries.back().kind, life.entries.back().payload));
  EXPECT_EQ(memory.jobs.at(nightly).suspects.all(), (std::vector<Suspect>{{{1, 1}, 1, 0}}));
}

TEST(ClientJobs, a_job_that_is_over_does_not_come_back) {
  Life life;
  life.open(nightly);
  life.offer(nightly, {0, 1}, {"a"});
  life.open(hourly);
  life.close(nightly);
  life.forget(nightly);  // Says so again, and has nothing to add.
  EXPECT_EQ(life.entries.size(), 4U);
  const NextLife next{life.entries};
  EXPECT_EQ(next.resumed.jobs, 1U);
  EXPECT_FALSE(next.dispatcher.has_job(nightly));
}

TEST(ClientJobs, a_job_that_is_dropped_does_not_come_back) {
  Life life;
  life.open(nightly);
  life.forget(nightly);
  EXPECT_EQ(NextLife{life.entries}.resumed.jobs, 0U);
}

TEST(ClientJobs, an_index_job_needs_no_payloads) {
  Life life;
  life.open(nightly, true);
  life.offer(nightly, {0, 1'000'000'000}, {});
  EXPECT_LT(life.entries.back().payload.size(), 100U);
  const NextLife next{life.entries};
  EXPECT_EQ(next.dispatcher.queued(nightly), 1'000'000'000U);
  EXPECT_EQ(next.jobs.payloads(nightly), nullptr);
}

TEST(ClientJobs, jobs_come_back_in_the_order_of_their_opening) {
  Life life;
  life.open(hourly);
  life.open(nightly);
  life.snapshot();
  const Report report = NextLife{life.entries}.dispatcher.report(start);
  ASSERT_EQ(report.jobs.size(), 2U);
  EXPECT_EQ(report.jobs[0].job, hourly);
}

TEST(ClientJobs, a_snapshot_has_what_is_still_needed_and_nothing_else) {
  Life life;
  life.open(hourly);
  life.close(hourly);
  life.open(nightly);
  life.offer(nightly, {0, 2}, {"a", "b"});
  life.offer(nightly, {2, 2}, {"c", "d"});
  life.settle(nightly, {0, 2});
  life.snapshot();
  life.entries.erase(life.entries.begin(), life.entries.end() - 1);
  const NextLife next{life.entries};
  EXPECT_EQ(next.resumed.jobs, 1U);
  EXPECT_EQ(next.resumed.tasks, 4U);
  EXPECT_EQ(next.text(nightly, 0), "(none)");
  EXPECT_EQ(next.text(nightly, 2), "c");
  EXPECT_EQ(next.text(nightly, 3), "d");
}

TEST(ClientJobs, a_life_goes_on_in_the_next_and_the_one_after_that) {
  Life life;
  life.open(nightly);
  life.offer(nightly, {0, 1}, {"a"});
  NextLife next{life.entries};
  PayloadWriter payloads{0};
  payloads.append(as_bytes("b"));
  next.jobs.keep({nightly, {1, 1}, 0}, payloads.view());
  auto entry = next.jobs.record({1, nightly, {JobRecord::Kind::offered, {1, 1}}, {}});
  ASSERT_TRUE(entry);
  life.entries.push_back(std::move(*entry));
  const NextLife last{life.entries};
  EXPECT_EQ(last.text(nightly, 0), "a");
  EXPECT_EQ(last.text(nightly, 1), "b");
}

TEST(ClientJobs, entries_that_do_not_follow_from_those_before_are_refused) {
  Life life;
  life.open(nightly);
  life.offer(nightly, {0, 1}, {"a"});
  life.end(nightly, 1);
  life.close(nightly);
  const auto refused = [&](std::vector<std::size_t> which) {
    BrokerMemory memory;
    Status status;
    for (const std::size_t one : which) {
      EXPECT_TRUE(status);
      status = apply_entry(memory, life.entries[one].kind, life.entries[one].payload);
    }
    return !status && status.error().code == Code::corrupt;
  };
  EXPECT_FALSE(refused({0, 1, 2, 3}));
  EXPECT_TRUE(refused({1}));        // Tasks of no job.
  EXPECT_TRUE(refused({0, 0}));     // A job that is open already.
  EXPECT_TRUE(refused({0, 1, 1}));  // A task that is there already.
  EXPECT_TRUE(refused({0, 2}));     // An end with more tasks than there are.
  EXPECT_TRUE(refused({3}));        // The end of no job.
}

TEST(ClientJobs, bytes_that_are_no_entry_are_refused) {
  Life life;
  life.open(nightly);
  life.offer(nightly, {0, 2}, {"a", "b"});
  for (std::size_t one = 0; one < life.entries.size(); ++one) {
    const Bytes whole = life.entries[one].payload;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      BrokerMemory memory;
      if (one > 0) {
        ASSERT_TRUE(apply_entry(memory, life.entries[0].kind, life.entries[0].payload));
      }
      EXPECT_FALSE(apply_entry(memory, life.entries[one].kind, whole.first(size)));
    }
  }
  BrokerMemory memory;
  EXPECT_FALSE(apply_entry(memory, static_cast<BrokerEntryKind>(77), life.entries[0].payload));
}

// --- On a disk ---------------------------------------------------------------------------------------------------

// Two jobs in a journal of small segments, a batch for each entry, as a broker leaves it that is killed.
class BrokerJournal : public ::testing::Test {
protected:
  MemoryDisk disk;
  Life life;

  BrokerJournal() {
    life.open(nightly);
    for (Number first = 0; first < 40; first += 2) life.offer(nightly, {first, 2}, {"some text", "another"});
    life.open(hourly, true);
    life.offer(hourly, {0, 1000}, {});
    life.settle(nightly, {0, 20});
    life.snapshot();
    life.end(hourly, 1000);
    for (Number first = 40; first < 48; first += 2) life.offer(nightly, {first, 2}, {"some text", "another"});
    life.close(hourly);
  }

  // The entries that are there when a broker opens it; none if it is refused.
  static std::optional<std::size_t> recover(Folder& folder, std::vector<ClientJobs::Entry>& entries) {
    const Result<std::unique_ptr<Journal>> journal = Journal::open(folder, options(), [&](const RecordView& record) {
      Buffer payload;
      payload.append(record.payload);
      entries.push_back({0, static_cast<BrokerEntryKind>(record.kind), std::move(payload)});
      return Status{};
    });
    if (!journal) return std::nullopt;
    return entries.size();
  }
  // Writes the entries from number `next` on; `next` is the number of those that are committed.
  void write(Folder& folder, std::size_t& next) {
    Result<std::unique_ptr<Journal>> journal =
        Journal::open(folder, options(), [](const RecordView&) { return Status{}; });
    ASSERT_TRUE(journal);
    for (; next < life.entries.size(); ++next) {
      const ClientJobs::Entry& entry = life.entries[next];
      const auto kind = static_cast<std::uint16_t>(entry.kind);
      ASSERT_TRUE(entry.kind == BrokerEntryKind::whole ? (*journal)->append_snapshot(kind, entry.payload)
                                                       : (*journal)->append(kind, entry.payload));
      ASSERT_TRUE((*journal)->commit());
    }
  }
  // What there was after so many entries is there.
  void expect_the_first(std::size_t count, const std::vector<ClientJobs::Entry>& found) {
    BrokerMemory expected;
    BrokerMemory memory;
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_TRUE(apply_entry(expected, life.entries[i].kind, life.entries[i].payload));
    for (const ClientJobs::Entry& entry : found) ASSERT_TRUE(apply_entry(memory, entry.kind, entry.payload));
    ASSERT_EQ(as_text(pack_entry(memory).bytes()), as_text(pack_entry(expected).bytes()));
  }
  static JournalOptions options() { return {.owner = broker_journal_owner, .segment_bytes = 2048}; }
  std::size_t snapshot_at() const {
    std::size_t at = 0;
    while (life.entries[at].kind != BrokerEntryKind::whole) ++at;
    return at;
  }
};

TEST_F(BrokerJournal, every_prefix_of_the_last_segment_is_a_broker_of_some_moment_or_refused) {
  const auto folder = disk.folder();
  std::size_t next = 0;
  write(*folder, next);
  const auto files = disk.files();
  std::string last;
  for (const auto& [name, bytes] : files)
    if (segment_position(name)) last = name;
  const std::vector<std::byte>& whole = files.at(last);
  std::size_t moments = 0;
  std::optional<std::size_t> before;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    MemoryDisk copy;
    for (const auto& [name, bytes] : files)
      if (segment_position(name)) copy.put(name, bytes);
    copy.put(last, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    std::vector<ClientJobs::Entry> found;
    const auto count = recover(*copy.folder(), found);
    if (!count || *count == 0) continue;
    // Those before the snapshot are gone.
    expect_the_first(snapshot_at() + *count, found);
    moments += before == count ? 0 : 1;
    before = count;
  }
  EXPECT_GT(moments, 4U);
  EXPECT_EQ(before.value_or(0), life.entries.size() - snapshot_at());
}

TEST_F(BrokerJournal, nothing_that_was_acknowledged_is_lost_wherever_the_power_goes) {
  for (std::uint64_t at = 1;; ++at) {
    MemoryDisk one;
    const auto folder = one.folder();
    std::size_t committed = 0;
    one.fail_at(at);
    try {
      write(*folder, committed);
      break;  // There are no more operations.
    } catch (const MemoryDisk::PowerLoss&) {
      one.restart(Unsynced::chance, at);
    }
    std::vector<ClientJobs::Entry> found;
    ASSERT_TRUE(recover(*one.folder(), found)) << "power lost in operation " << at;
    const bool has_snapshot = !found.empty() && found.front().kind == BrokerEntryKind::whole;
    const std::size_t known = found.size() + (has_snapshot ? snapshot_at() : 0);
    ASSERT_GE(known, committed) << "power lost in operation " << at;
    expect_the_first(known, found);
  }
}

}  // namespace
}  // namespace ventile
