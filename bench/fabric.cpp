#include "bench/fabric.hpp"

#include <atomic>
#include <functional>
#include <iostream>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/queue/sink.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/queue/worker.hpp>
#include <ventile/task/registry.hpp>

#include "bench/child.hpp"

namespace ventile::bench {
namespace {

constexpr std::string_view text = "thirty-one bytes, packed in 32:";

// A text that is packed in so many bytes.
std::string text_of(std::size_t bytes) {
  if (bytes == text.size() + 1) return std::string{text};
  const std::size_t head = bytes <= 257 ? 2 : bytes <= 65'538 ? 3 : 5;
  std::string all;
  all.resize(bytes - head, 'x');
  return all;
}

template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

Keys keys_of(const std::string& root, KeyRole role) {
  return root.empty() ? Keys{} : value_of(Keys::open(root, {role}));
}

TaskRegistry functions(const std::function<std::int64_t(std::int64_t)>& work = {}) {
  TaskRegistry registry;
  if (work) registry.add("work", [work](std::int64_t index) { return work(index); });
  registry.add("echo", [](std::string_view task) { return task; });
  registry.add("index", [](std::int64_t index) { return index; });
  registry.add("nap", [](std::int64_t index) {
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
    return index;
  });
  registry.add_fold<std::int64_t>("sum", std::plus<>{});
  return registry;
}

Log warnings() {
  return Log{[](Level level, std::string_view line) {
    if (level >= Level::warning) std::cerr << line << '\n';
  }};
}

void add_text(PayloadWriter& block, std::string_view added) {
  Packer{block.buffer()}.pack_string(added);
  block.end_payload();
}

class Texts : public Input {
public:
  explicit Texts(const FabricJob& job) : left_(job.function == "echo" ? job.tasks : 0), text_(text_of(job.bytes)) {}

  Result<bool> read(PayloadWriter& block, std::size_t bytes_max, std::uint32_t count_max) override {
    while (left_ > 0 && block.count() < count_max && (block.count() == 0 || block.size() + text_.size() < bytes_max)) {
      add_text(block, text_);
      --left_;
    }
    return block.count() > 0;
  }
  void interrupt() override {}
  std::uint64_t skipped() const override { return 0; }

private:
  std::uint64_t left_;
  std::string text_;
};

// What a sink's output tells the benchmark, which outlives it.
struct Tally {
  std::uint64_t of = 0;  // Tasks.
  std::uint64_t tasks = 0;
  std::uint64_t bytes = 0;
  TimePoint opened;
  TimePoint closed;
  struct Mark {
    std::uint64_t tasks = 0;
    TimePoint when;
  };
  std::vector<Mark> fifths;  // When one more fifth had come in.
  std::uint64_t next_fifth = of / 5;

  void mark() {
    fifths.push_back({tasks, Clock::now()});
    next_fifth = of * (fifths.size() + 1) / 5;
  }

  double per_second() const {
    if (fifths.size() < 4) return static_cast<double>(tasks) / to_seconds(closed - opened);
    const Mark& first = fifths[0];
    const Mark& last = fifths[3];
    return static_cast<double>(last.tasks - first.tasks) / to_seconds(last.when - first.when);
  }
};

class CountingOutput : public Output {
public:
  explicit CountingOutput(Tally& tally) : tally_(tally) { tally_.opened = Clock::now(); }

  Status write(const ResultItem& item) override {
    tally_.tasks += item.outcome == Outcome::done ? item.count : 0;
    tally_.bytes += item.payload.size();
    if (tally_.tasks >= tally_.next_fifth) tally_.mark();
    return {};
  }
  Status write_fold(Bytes, std::uint64_t count) override {
    tally_.tasks += count;
    return {};
  }
  Status flush() override { return {}; }
  Status close() override {
    tally_.closed = Clock::now();
    return {};
  }

private:
  Tally& tally_;
};

VentilatorOptions ventilator_options(const Endpoint& bind, const FabricJob& job) {
  VentilatorOptions options;
  options.bind = bind;
  options.job.name = "bench";
  options.job.function = job.function;
  options.job.index.enabled = job.function != "echo";
  options.keys = keys_of(job.keys, KeyRole::dispatcher);
  options.log = warnings();
  options.index_count = options.job.index.enabled ? job.tasks : 0;
  if (job.batch > 0)
    options.dispatcher.granularity = {.batch_min = std::chrono::seconds{1},
                                      .growth_max = job.batch,
                                      .tasks_max = job.batch,
                                      .least_part = 1,
                                      .least_part_at_end = 1};
  return options;
}

void ventilate(Ventilator& ventilator) {
  const VentilatorReport report = value_of(ventilator.run());
  if (report.ending != VentilatorEnding::done) throw std::runtime_error("the ventilator: " + report.why);
}

void work(Context& context, const TaskRegistry& registry, const Endpoint& dispatcher, std::uint32_t slots,
          const std::string& keys = {}) {
  WorkerOptions options;
  options.connect = dispatcher;
  options.slots = slots;
  options.once = true;
  options.keys = keys_of(keys, KeyRole::worker);
  options.log = warnings();
  Worker worker{context, registry, std::move(options)};
  value_of(worker.run());
}

void collect(Context& context, const TaskRegistry& registry, const Endpoint& dispatcher, const FabricJob& job,
             const std::function<std::unique_ptr<Output>()>& open_output) {
  SinkOptions options;
  options.connect = dispatcher;
  options.fold = job.fold;
  options.keys = keys_of(job.keys, KeyRole::sink);
  options.log = warnings();
  Sink sink{context, registry, std::move(options), [&](std::uint64_t) { return open_output(); }};
  const SinkReport report = value_of(sink.run());
  if (report.ending != SinkEnding::done) throw std::runtime_error("the sink: " + report.why);
}

JobRate collect_and_count(Context& context, const TaskRegistry& registry, const Endpoint& dispatcher,
                          const FabricJob& job) {
  Tally tally{.of = job.tasks};
  collect(context, registry, dispatcher, job, [&tally] { return std::make_unique<CountingOutput>(tally); });
  const bool whole = job.function != "echo" || tally.bytes == job.tasks * job.bytes;
  if (tally.tasks != job.tasks || !whole) throw std::runtime_error("the sink has not counted the job's tasks");
  return {to_seconds(tally.closed - tally.opened), tally.per_second()};
}

}  // namespace

double run_as_threads(const Endpoint& bind, const FabricJob& job) {
  const TaskRegistry registry = functions(job.work);
  Context context;
  Ventilator ventilator{context, ventilator_options(bind, job), std::make_unique<Texts>(job), {}};
  const Endpoint bound = value_of(ventilator.bind());
  const std::jthread working{[&] { work(context, registry, bound, job.slots); }};
  const std::jthread ventilating{[&] { ventilate(ventilator); }};
  return collect_and_count(context, registry, bound, job).seconds;
}

double run_as_processes(const Endpoint& bind, const FabricJob& job) {
  std::vector<std::string> ventilator_words{"ventilator", bind.to_string(), job.function, std::to_string(job.tasks),
                                            std::to_string(job.bytes)};
  if (!job.keys.empty()) ventilator_words.push_back(job.keys);
  Child ventilator{ventilator_words};
  const Endpoint bound = value_of(Endpoint::parse(ventilator.line()));
  std::vector<std::string> worker_words{"worker", bound.to_string()};
  if (!job.keys.empty()) worker_words.push_back(job.keys);
  const Child worker{worker_words};
  Context context;
  return collect_and_count(context, functions(), bound, job).seconds;
}

void run_ventilator(const Endpoint& bind, const FabricJob& job, const std::function<void(const Endpoint&)>& announce) {
  Context context;
  Ventilator ventilator{context, ventilator_options(bind, job), std::make_unique<Texts>(job), {}};
  announce(value_of(ventilator.bind()));
  ventilate(ventilator);
}

void run_worker(const Endpoint& dispatcher, const std::string& keys) {
  Context context;
  work(context, functions(), dispatcher, 1, keys);
}

JobRate run_with_workers(const Endpoint& bind, const FabricJob& job, const Crowd& crowd) {
  Child ventilator{{"ventilator", bind.to_string(), job.function, std::to_string(job.tasks), std::to_string(job.bytes),
                    std::to_string(job.batch)}};
  const Endpoint bound = value_of(Endpoint::parse(ventilator.line()));
  std::vector<std::unique_ptr<Child>> workers;
  for (std::uint32_t i = 0; i < crowd.processes; ++i)
    workers.push_back(std::make_unique<Child>(
        std::vector<std::string>{"workers", bound.to_string(), std::to_string(crowd.workers_each)}));
  for (const auto& worker : workers) worker->line();
  Context context;
  return collect_and_count(context, functions(), bound, job);
}

void run_workers(const Endpoint& dispatcher, std::uint32_t count, const std::function<void()>& on_ready) {
  constexpr int sockets_each = 8;
  Context context{{.sockets_max = static_cast<int>(count) * sockets_each + sockets_each}};
  const TaskRegistry registry = functions();
  std::atomic<std::uint32_t> ready{0};
  const auto run = [&] {
    bool was_ready = false;
    WorkerOptions options{.connect = dispatcher, .once = true, .log = warnings()};
    options.on_tick = [&](bool in_session, TimePoint) {
      if (in_session && !std::exchange(was_ready, true) && ++ready == count) on_ready();
    };
    Worker worker{context, registry, options};
    value_of(worker.run());
  };
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < count; ++i) threads.emplace_back(run);
}

// --- One by one --------------------------------------------------------------------------------------------------

namespace {

// The one task that is under way.
struct Flight {
  std::counting_semaphore<> landed{1};
  TimePoint start;
  std::vector<double> seconds;
};

class SingleTexts : public Input {
public:
  SingleTexts(Flight& flight, std::size_t count) : flight_(flight), left_(count) {}

  Result<bool> read(PayloadWriter& block, std::size_t, std::uint32_t) override {
    flight_.landed.acquire();
    if (left_-- == 0) return false;
    add_text(block, text);
    flight_.start = Clock::now();
    return true;
  }
  void interrupt() override { flight_.landed.release(); }
  std::uint64_t skipped() const override { return 0; }

private:
  Flight& flight_;
  std::size_t left_;
};

class LandingOutput : public Output {
public:
  explicit LandingOutput(Flight& flight) : flight_(flight) {}

  Status write(const ResultItem&) override {
    flight_.seconds.push_back(to_seconds(Clock::now() - flight_.start));
    flight_.landed.release();
    return {};
  }
  Status write_fold(Bytes, std::uint64_t) override { return {}; }
  Status flush() override { return {}; }
  Status close() override { return {}; }

private:
  Flight& flight_;
};

}  // namespace

std::vector<double> run_one_by_one(const Endpoint& bind, std::size_t tasks) {
  Flight flight;
  const TaskRegistry registry = functions();
  Context context;
  Ventilator ventilator{context,
                        ventilator_options(bind, {.function = "echo", .tasks = tasks}),
                        std::make_unique<SingleTexts>(flight, tasks),
                        {}};
  const Endpoint bound = value_of(ventilator.bind());
  const std::jthread working{[&] { work(context, registry, bound, 1); }};
  const std::jthread ventilating{[&] { ventilate(ventilator); }};
  collect(context, registry, bound, {}, [&flight] { return std::make_unique<LandingOutput>(flight); });
  if (flight.seconds.size() != tasks) throw std::runtime_error("the sink has not counted the tasks");
  return std::move(flight.seconds);
}

}  // namespace ventile::bench
