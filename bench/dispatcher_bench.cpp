// How many batches does the dispatcher decide on in a second, and does it matter how many workers there are?
//
// Everything here is the pure decider: no sockets, no encoding, a clock that is moved by hand. Its share in a second of
// a real dispatcher is what is not left for the transport. Times are the processor's, so that others' load counts
// little.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/base/memory.hpp>
#include <ventile/base/mixed.hpp>
#include <ventile/queue/dispatcher.hpp>

namespace ventile {
namespace {

constexpr JobId job{1, 1};
constexpr std::uint64_t plenty = std::uint64_t{1} << 60;
constexpr std::uint64_t task_nanoseconds = 1'000;

// Each worker does a batch in a round, in the order in which it got them. Workers come in the same order in every
// round, or in another one each time.
enum class Order : std::uint8_t { same, any };

// A dispatcher with one job that never ends, a sink that takes everything and workers of one slot each.
class Fabric {
public:
  Fabric(std::uint64_t workers, std::uint64_t tasks)
      : sessions_(sink_peer.value + 1 + workers), leased_(workers), round_(workers) {
    std::iota(round_.begin(), round_.end(), 0);
    dispatcher_.open_job(job, {.name = "bench", .function = "index", .index = {.enabled = true}}, now_);
    if (tasks > 0) dispatcher_.offer(job, tasks, 0, now_);
    hello(sink_peer, {.role = Role::sink, .node = {1, 1}, .results_address = "tcp://127.0.0.1:5571"});
    say(sink_peer, job, Opened{.credit = {plenty, plenty, plenty}});
    for (std::uint64_t i = 0; i < workers; ++i) {
      const PeerId worker = peer_of(i);
      hello(worker, {.role = Role::worker,
                     .node = {2, worker.value},
                     .name = "host.example:" + std::to_string(1'000 + i),
                     .build = "0.1.0",
                     .slots = 1,
                     .functions = {{"index", true}},
                     .credit = {plenty, plenty}});
    }
  }

  // The sink has stored the oldest batches of the workers whose turn it is, which get the next ones.
  void settle(std::size_t batches) {
    Stored stored{{}, {plenty, plenty, plenty}};
    for (std::size_t i = 0; i < batches; ++i) {
      const std::uint64_t worker = round_[turn_];
      turn_ = (turn_ + 1) % round_.size();
      const auto [lease, range] = leased_[worker].take();
      fetch_ahead(leased_[round_[(turn_ + 8) % round_.size()]]);  // A message that has just come is in the cache, too.
      stored.settlements.push_back({incarnation_of(peer_of(worker)),
                                    lease,
                                    range,
                                    Verdict::stored,
                                    task_nanoseconds * range.count,
                                    9 * range.count,
                                    {}});
    }
    say(sink_peer, job, std::move(stored));
  }

  void shuffle() {
    if (turn_ == 0) std::shuffle(round_.begin(), round_.end(), random_);
  }

  void heartbeat_of(std::uint64_t worker) {
    say(peer_of(worker), {}, Progress{.credit = {plenty, plenty}, .slots = 1});
  }

  bool in_order() const { return dispatcher_.check().empty(); }

private:
  static constexpr PeerId sink_peer{1};

  Dispatcher dispatcher_{{9}, {}};
  Actions actions_;
  TimePoint now_{std::chrono::hours{1}};
  std::vector<SessionId> sessions_;  // By peer.
  struct Leased {
    LeaseId lease;
    Range range;
  };
  // What a worker has, the oldest first.
  class Queue {
  public:
    void give(Leased leased) {
      if (count_ == leased_.size()) throw std::length_error("a worker was given more batches than it can run");
      leased_[(first_ + count_++) % leased_.size()] = leased;
    }
    Leased take() {
      if (count_ == 0) throw std::length_error("a worker whose turn it is has nothing");
      --count_;
      return leased_[first_++ % leased_.size()];
    }

  private:
    std::array<Leased, 4> leased_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
  };
  std::vector<Queue> leased_;         // By worker.
  std::vector<std::uint64_t> round_;  // Workers, in the order in which they come.
  std::size_t turn_ = 0;              // In it.
  std::minstd_rand random_{1};

  static PeerId peer_of(std::uint64_t worker) { return {sink_peer.value + 1 + worker}; }
  static IncarnationId incarnation_of(PeerId peer) { return {mixed(peer.value)}; }

  void hello(PeerId peer, Hello hello) { say(peer, {}, std::move(hello)); }

  void say(PeerId peer, JobId about, Message message) {
    now_ += std::chrono::microseconds{1};
    dispatcher_.on_message(peer, {{about, incarnation_of(peer), sessions_[peer.value], 0}, std::move(message)}, now_);
    carry_out();
  }

  void carry_out() {
    dispatcher_.take_actions(actions_);
    for (Action& action : actions_) {
      if (auto* tasks = std::get_if<SendTasks>(&action))
        leased_.at(tasks->to.value - peer_of(0).value).give({tasks->tasks.lease, tasks->tasks.range});
      else if (const auto* send = std::get_if<Send>(&action); send && std::holds_alternative<Welcome>(send->message))
        sessions_[send->to.value] = send->session;
    }
  }
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds_to_settle(Fabric& fabric, Order order, int batches, int at_once) {
  if (order == Order::any) fabric.shuffle();
  const double start = processor_seconds();
  for (int i = 0; i < batches; i += at_once) fabric.settle(at_once);
  return processor_seconds() - start;
}

// The sink names so many batches at once, each of another worker if there are as many.
// Beside the dispatcher of so many workers runs one of two, turn by turn, so that both see the same machine.
void lease_and_settle(benchmark::State& state, Order order) {
  constexpr int batches = 1'000;
  constexpr int at_once_of_two = 4;  // More they do not have.
  const auto workers = static_cast<std::uint64_t>(state.range(0));
  const auto at_once = static_cast<int>(state.range(1));
  Fabric fabric{workers, plenty};
  Fabric two{2, plenty};
  const int warm_up = std::max(batches, 20 * static_cast<int>(workers));
  for (int i = 0; i < warm_up; i += batches) seconds_to_settle(fabric, order, batches, at_once);
  seconds_to_settle(two, order, batches, std::min(at_once, at_once_of_two));
  double seconds_of_two = 0;
  double seconds = 0;
  for (auto _ : state) {
    seconds_of_two += seconds_to_settle(two, order, batches, std::min(at_once, at_once_of_two));
    const double taken = seconds_to_settle(fabric, order, batches, at_once);
    seconds += taken;
    state.SetIterationTime(taken);
  }
  if (!fabric.in_order()) return state.SkipWithError("the dispatcher's own check fails");
  state.counters["batches"] = benchmark::Counter(batches, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["ratio_to_2_workers"] = seconds_of_two / seconds;
}

// Every worker says every half second that it lives.
void heartbeat(benchmark::State& state) {
  const auto workers = static_cast<std::uint64_t>(state.range(0));
  Fabric fabric{workers, 0};
  std::uint64_t next = 0;
  for (auto _ : state) fabric.heartbeat_of(next++ % workers);
}

// The same while all of them have work.
void heartbeat_at_work(benchmark::State& state) {
  const auto workers = static_cast<std::uint64_t>(state.range(0));
  Fabric fabric{workers, plenty};
  std::uint64_t next = 0;
  for (auto _ : state) fabric.heartbeat_of(next++ % workers);
}

void memory_of_an_idle_worker(benchmark::State& state) {
  const auto workers = static_cast<std::uint64_t>(state.range(0));
  double bytes = 0;
  for (auto _ : state) {
    const std::size_t before = mallinfo2().uordblks;
    const Fabric fabric{workers, 0};
    bytes = static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(workers);
  }
  state.counters["bytes"] = bytes;
}

// --- The account of one job --------------------------------------------------------------------------------------

constexpr std::uint64_t batch = 1'000;
constexpr std::uint64_t batches_open = 1'024;

// Leases of `batch` tasks are granted in turn and settled in the order that `order` says, `batches_open` at a time.
void account(benchmark::State& state, const std::vector<std::size_t>& order) {
  Account account;
  account.offer(plenty, 0);
  std::uint64_t counter = 0;
  std::vector<std::pair<LeaseId, Range>> open;
  for (auto _ : state) {
    open.clear();
    for (std::uint64_t i = 0; i < batches_open; ++i) {
      const LeaseId id{{9}, ++counter};
      open.emplace_back(id, account.grant(id, {1 + i % 16}, {.count = batch}, TimePoint{})->remaining.front());
    }
    for (const std::size_t index : order)
      benchmark::DoNotOptimize(account.settle(open[index].second, {}, open[index].first));
  }
  state.counters["batches"] = benchmark::Counter(batches_open, benchmark::Counter::kIsIterationInvariantRate);
}

std::vector<std::size_t> shuffled(std::size_t count, bool shuffle) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (shuffle) std::shuffle(order.begin(), order.end(), std::minstd_rand{1});
  return order;
}

void account_in_order(benchmark::State& state) { account(state, shuffled(batches_open, false)); }
void account_out_of_order(benchmark::State& state) { account(state, shuffled(batches_open, true)); }

// Results in the order of their numbers are one interval all the time; in any order, up to half as many as batches.
void ledger(benchmark::State& state, bool shuffle) {
  constexpr std::size_t batches = 16 * 1'024;
  const std::vector<std::size_t> order = shuffled(batches, shuffle);
  for (auto _ : state) {
    Ledger ledger;
    for (const std::size_t index : order) ledger.record({index * batch, batch}, {});
    benchmark::DoNotOptimize(ledger.count());
  }
  state.counters["batches"] = benchmark::Counter(batches, benchmark::Counter::kIsIterationInvariantRate);
}

void ledger_in_order(benchmark::State& state) { ledger(state, false); }
void ledger_out_of_order(benchmark::State& state) { ledger(state, true); }

void apply(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"workers", "at_once"})->ArgsProduct({{2, 100, 1'000, 10'000}, {1, 4}})->UseManualTime();
  benchmark->ArgsProduct({{100, 1'000, 10'000}, {100}});  // What a sink finds in a turn when it has much to do.
}
BENCHMARK_CAPTURE(lease_and_settle, same_order, Order::same)->Apply(apply);
BENCHMARK_CAPTURE(lease_and_settle, any_order, Order::any)->Apply(apply);
BENCHMARK(heartbeat)->Arg(2)->Arg(100)->Arg(1'000)->Arg(10'000);
BENCHMARK(heartbeat_at_work)->Arg(2)->Arg(100)->Arg(1'000)->Arg(10'000);
BENCHMARK(memory_of_an_idle_worker)->Arg(10'000)->Iterations(1);
BENCHMARK(account_in_order);
BENCHMARK(account_out_of_order);
BENCHMARK(ledger_in_order);
BENCHMARK(ledger_out_of_order);

}  // namespace
}  // namespace ventile

BENCHMARK_MAIN();
