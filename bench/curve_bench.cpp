// What keys cost: the same job over tcp, as three processes, with CURVE and without, in turn.
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <ventile/keys/key_tree.hpp>

#include "bench/fabric.hpp"

namespace ventile::bench {
namespace {

constexpr std::uint64_t tasks = 5'000'000;  // Of 32 bytes.
constexpr std::size_t large_bytes_all = std::size_t{1} << 29;
constexpr int rounds = 5;

Endpoint parsed(const std::string& address) {
  Result<Endpoint> endpoint = Endpoint::parse(address);
  if (!endpoint) throw std::runtime_error(endpoint.error().message);
  return *endpoint;
}

// Keys of all roles, gone with the benchmark.
class KeyFolder {
public:
  KeyFolder() : root_(std::filesystem::temp_directory_path() / ("ventile-bench-keys-" + std::to_string(getpid()))) {
    if (Status made = make_key_tree(root_); !made) throw std::runtime_error(made.error().message);
  }
  ~KeyFolder() { std::filesystem::remove_all(root_); }
  KeyFolder(const KeyFolder&) = delete;
  KeyFolder& operator=(const KeyFolder&) = delete;
  std::string root() const { return root_.string(); }

private:
  std::filesystem::path root_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void with_keys(benchmark::State& state, std::size_t bytes, std::uint64_t count) {
  const KeyFolder keys;
  const Endpoint bind = parsed("tcp://127.0.0.1:0");
  std::vector<double> open;
  std::vector<double> secured;
  for (auto _ : state) {
    open.push_back(run_as_processes(bind, {.function = "echo", .tasks = count, .bytes = bytes}));
    secured.push_back(
        run_as_processes(bind, {.function = "echo", .tasks = count, .bytes = bytes, .keys = keys.root()}));
    state.SetIterationTime(secured.back());
  }
  const double rate = static_cast<double>(count) / median(secured);
  state.counters["tasks_per_s"] = rate;
  state.counters["bytes_per_s"] = rate * static_cast<double>(bytes);
  state.counters["without_keys_per_s"] = static_cast<double>(count) / median(open);
  state.counters["ratio_to_without"] = median(open) / median(secured);
}

BENCHMARK_CAPTURE(with_keys, echo_32_bytes, 32, tasks)
    ->Iterations(rounds)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(with_keys, echo_64_KB, std::size_t{64} << 10, large_bytes_all >> 16)
    ->Iterations(rounds)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void run_role(const std::vector<std::string>& words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // Nobody outlives the benchmark.
  if (words.at(0) == "worker") return run_worker(parsed(words.at(1)), words.size() > 2 ? words[2] : "");
  run_ventilator(parsed(words.at(1)),
                 {.function = words.at(2),
                  .tasks = std::stoull(words.at(3)),
                  .bytes = std::stoull(words.at(4)),
                  .keys = words.size() > 5 ? words[5] : ""},
                 [](const Endpoint& bound) { std::cout << bound.to_string() << std::endl; });
}

}  // namespace
}  // namespace ventile::bench

int main(int argc, char** argv) {
  if (argc > 2 && std::string{argv[1]} == "--role") {
    ventile::bench::run_role({argv + 2, argv + argc});
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
