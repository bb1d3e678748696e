#include "tests/simulation/scale.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/simulation/scale_head.hpp"
#include "tests/simulation/scale_relay.hpp"
#include "tests/simulation/scale_worker.hpp"

namespace ventile::simulation {
namespace scale {
namespace {

using namespace std::chrono_literals;

constexpr Duration end_bound = 24h;  // Virtual; whatever takes longer has come to a halt.

class Scale {
public:
  explicit Scale(const ScaleOptions& options)
      : options_(options), world_(options.seed, nullptr), head_(world_, options_), sink_(world_, options_, head_) {
    for (std::uint32_t i = 0; i < options_.relays; ++i)
      relays_.push_back(std::make_unique<Relay>(world_, options_, 10'000'000 + i, head_, sink_));
    for (std::uint32_t i = 0; i < options_.workers; ++i) add_worker(i);
  }

  ScaleReport run() {
    gather();
    const std::uint64_t tasks = tasks_of(options_);
    const TimePoint start = world_.now();
    sink_.begin();
    head_.begin(tasks);
    const Mark first = run_until(tasks / 5);
    const Mark last = run_until(tasks - tasks / 5);
    while (!head_.hub().closed()) step();
    require(head_.hub().settled() == tasks, "a task is lost or counted twice");
    const double seconds = to_seconds(last.when - first.when);
    ScaleReport report;
    report.tasks = tasks;
    report.seconds = to_seconds(world_.now() - start);
    report.tasks_per_second = static_cast<double>(last.settled - first.settled) / seconds;
    report.utilisation = to_seconds(last.workers - first.workers) / seconds / options_.workers;
    report.tasks_per_batch = static_cast<double>(tasks) / static_cast<double>(batches());
    report.requeued = requeued();
    report.head_busy = to_seconds(last.head - first.head) / seconds;
    report.sink_busy = to_seconds(last.sink - first.sink) / seconds;
    if (!relays_.empty())
      report.relay_busy = to_seconds(last.relays - first.relays) / seconds / static_cast<double>(relays_.size());
    return report;
  }

private:
  struct Mark {
    TimePoint when;
    std::uint64_t settled = 0;
    Duration head{0};
    Duration sink{0};
    Duration relays{0};
    Duration workers{0};
  };

  ScaleOptions options_;
  World world_;
  Head head_;
  SinkHost sink_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::vector<std::unique_ptr<WorkerHost>> workers_;

  static std::uint64_t tasks_of(const ScaleOptions& options) {
    const double batches = static_cast<double>(options.workers) * to_seconds(options.run) /
                           std::max(to_seconds(options.task), to_seconds(GranularityOptions{}.batch_min));
    const double each = std::max(to_seconds(GranularityOptions{}.batch_min) / to_seconds(options.task), 1.0);
    return static_cast<std::uint64_t>(std::min(batches, static_cast<double>(options.batches_max)) * each);
  }

  void add_worker(std::uint32_t index) {
    workers_.push_back(std::make_unique<WorkerHost>(world_, options_, 20'000'000 + index));
    WorkerHost& worker = *workers_.back();
    if (relays_.empty()) {
      const PeerId peer = head_.hub().attach(worker);
      worker.connect(
          {&head_, &sink_, [this, peer](const Received& received) { head_.hear(peer, received); },
           [this](const Received& received) { sink_.take(received.envelope, std::get<Results>(received.message)); }});
      return;
    }
    Relay& relay = *relays_[index % relays_.size()];
    const PeerId peer = relay.hub().attach(worker);
    worker.connect(
        {&relay, &relay, [&relay, peer](const Received& received) { relay.hear_worker(peer, received); },
         [&relay](const Received& received) { relay.take(received.envelope, std::get<Results>(received.message)); }});
  }

  // Everybody is there before the job is.
  void gather() {
    for (const auto& worker : workers_) world_.after(world_.draw(0s, 1s), [&worker = *worker] { worker.start(); });
    if (relays_.empty()) return run_while([this] { return head_.hub().dispatcher().worker_count() < workers_.size(); });
    run_while([this] {
      std::size_t count = 0;
      for (const auto& relay : relays_) count += relay->hub().dispatcher().worker_count();
      return count < workers_.size();
    });
    for (const auto& relay : relays_) {
      relay->open();
      relay->start();
    }
    run_while([this] { return head_.hub().dispatcher().worker_count() < relays_.size(); });
  }

  void step() {
    require(world_.step(), "nothing will ever happen again, and the job is not over");
    require(world_.now() < TimePoint{} + end_bound, "the job does not end");
  }
  template <class Condition>
  void run_while(Condition condition) {
    while (condition())
      for (int i = 0; i < 1'000; ++i) step();
  }
  Mark run_until(std::uint64_t settled) {
    while (head_.hub().settled() < settled) step();
    Mark mark{world_.now(), head_.hub().settled(), head_.busy(), sink_.busy()};
    for (const auto& relay : relays_) mark.relays += relay->busy();
    for (const auto& worker : workers_) mark.workers += worker->worked();
    return mark;
  }

  // Of those who have workers.
  template <class Count>
  std::uint64_t sum(Count count) {
    if (relays_.empty()) return count(head_.hub().dispatcher().counters(job));
    std::uint64_t all = 0;
    for (const auto& relay : relays_) all += count(relay->hub().dispatcher().counters(job));
    return all;
  }
  std::uint64_t batches() {
    return sum([](const JobCounters& counters) { return counters.batches; });
  }
  std::uint64_t requeued() {
    return sum([](const JobCounters& counters) { return counters.requeued_batches; });
  }
};

}  // namespace
}  // namespace scale

ScaleReport simulate_scale(const ScaleOptions& options) { return scale::Scale{options}.run(); }

}  // namespace ventile::simulation
