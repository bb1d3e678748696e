// What do workers that have nothing to do cost the dispatcher, of one core's time and of memory?
//
// The ventilator is a thread of this process and has a job that no sink takes. The workers are real sessions over tcp,
// a thousand in each of as many processes as it takes, but without the threads that would run tasks. What is measured
// begins when all of them have a session and have heard how often to speak.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ventile/net/context.hpp>
#include <ventile/queue/link.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/queue/session.hpp>
#include <ventile/queue/ventilator.hpp>

#include "bench/child.hpp"

namespace ventile::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t workers_each_max = 1'000;  // Of a process: each takes four descriptors.
constexpr std::uint32_t workers_on_a_thread = 100;
constexpr Duration measured = 30s;

// --- Workers -----------------------------------------------------------------------------------------------------

NodeId some_node() {
  NodeId node;
  assign_random(node);
  return node;
}

// A worker that would take work, and has nobody to do it.
class IdleWorker {
public:
  IdleWorker(Context& context, Reactor& reactor, const Endpoint& dispatcher)
      : reactor_(reactor),
        session_({.node = some_node(), .incarnation = incarnation_, .name = "idle"}),
        link_(
            context, reactor, incarnation_, std::size_t{1} << 20,
            [this](const Received& received, const auto&) {
              if (std::holds_alternative<Bye>(received.message)) std::quick_exit(0);
              session_.on_message(received, reactor_.now());
              act();
              if (session_.next_tick() <= reactor_.now()) tick();
            },
            [](const Error& error, auto) { throw std::runtime_error(error.message); }, [] {}) {
    if (const Status connected = link_.connect(dispatcher); !connected)
      throw std::runtime_error(connected.error().message);
    reactor_.call_at(Clock::now(), [this] {
      session_.start(reactor_.now());
      tick();
    });
  }

  bool has_session() const { return session_.open(); }

private:
  IncarnationId incarnation_ = random_incarnation();
  Reactor& reactor_;
  Session session_;
  Link link_;
  TimerId tick_;

  void act() {
    for (Session::Action& action : session_.take_actions())
      if (const auto* say = std::get_if<Session::Say>(&action)) link_.send(say->job, say->session, say->message);
  }

  void tick() {
    session_.on_tick(reactor_.now(), {});
    act();
    reactor_.cancel(tick_);
    tick_ = reactor_.call_at(std::max(session_.next_tick(), reactor_.now() + 1ms), [this] { tick(); });
  }
};

// Until the dispatcher says goodbye: then the process ends.
void be_idle(const Endpoint& dispatcher, std::uint32_t count) {
  raise_descriptor_limit();
  Context context{{.sockets_max = static_cast<int>(count) * 4}};
  std::atomic<std::uint32_t> groups_ready{0};
  const std::uint32_t groups = (count + workers_on_a_thread - 1) / workers_on_a_thread;
  const auto run = [&](std::uint32_t size) {
    Reactor reactor;
    std::vector<std::unique_ptr<IdleWorker>> workers;
    for (std::uint32_t i = 0; i < size; ++i)
      workers.push_back(std::make_unique<IdleWorker>(context, reactor, dispatcher));
    const std::function<void()> look = [&] {
      if (!std::all_of(workers.begin(), workers.end(), [](const auto& one) { return one->has_session(); }))
        reactor.call_at(reactor.now() + 100ms, look);
      else if (++groups_ready == groups)
        std::cout << "ready" << std::endl;
    };
    reactor.call_at(Clock::now(), look);
    reactor.run();
  };
  std::vector<std::jthread> threads;
  for (std::uint32_t left = count; left > 0; left -= std::min(left, workers_on_a_thread))
    threads.emplace_back(run, std::min(left, workers_on_a_thread));
}

// --- The dispatcher ----------------------------------------------------------------------------------------------

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  double all = 0;
  double resident = 0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

class NoInput : public Input {
public:
  Result<bool> read(PayloadWriter&, std::size_t, std::uint32_t) override { return false; }
  void interrupt() override {}
  std::uint64_t skipped() const override { return 0; }
};

void idle_workers(benchmark::State& state) {
  const auto workers = static_cast<std::uint32_t>(state.range(0));
  raise_descriptor_limit();
  VentilatorOptions options;
  options.bind = {Transport::tcp, "127.0.0.1", 0};
  options.job = {.name = "idle", .function = "none"};
  options.job.index.enabled = true;
  options.index_count = 1;
  Context context;
  Ventilator ventilator{context, options, std::make_unique<NoInput>(), {}};
  const Result<Endpoint> bound = ventilator.bind();
  if (!bound) throw std::runtime_error(bound.error().message);
  std::jthread ventilating{[&] { (void)ventilator.run(); }};

  const double bytes_before = resident_bytes();
  std::vector<std::unique_ptr<Child>> children;
  for (std::uint32_t left = workers; left > 0; left -= std::min(left, workers_each_max))
    children.push_back(std::make_unique<Child>(
        std::vector<std::string>{"idle", bound->to_string(), std::to_string(std::min(left, workers_each_max))}));
  for (const auto& child : children) child->line();
  // Whoever came first was told to speak each half second, and is told otherwise within that time.
  std::this_thread::sleep_for(2s);
  const double bytes = resident_bytes() - bytes_before;
  double used = 0;
  for (auto _ : state) {
    const double before = cpu_seconds();
    std::this_thread::sleep_for(measured);
    used = cpu_seconds() - before;
    state.SetIterationTime(to_seconds(measured));
  }
  state.counters["share_of_a_core"] = used / to_seconds(measured);
  state.counters["bytes_per_worker"] = bytes / workers;
  ventilator.leave();
}
BENCHMARK(idle_workers)->Arg(100)->Arg(1'000)->Arg(10'000)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);

}  // namespace
}  // namespace ventile::bench

int main(int argc, char** argv) {
  if (argc == 5 && std::string{argv[1]} == "--role") {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // Nobody outlives the benchmark.
    ventile::bench::be_idle(*ventile::Endpoint::parse(argv[3]), static_cast<std::uint32_t>(std::stoul(argv[4])));
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
