// ventile-simulate: runs simulations for a range of seeds. One seed is one run, exactly; a failing one says how to see
// it again.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/simulation/simulation.hpp"

namespace {

using ventile::simulation::Report;
using ventile::simulation::Simulation;

constexpr std::string_view usage =
    "usage: ventile-simulate --seeds A:B [-j N] [--trace]\n"
    "  --seeds A:B   the seeds from A up to, but not including, B\n"
    "  -j N          so many at once\n"
    "  --trace       print what happens\n";

struct Options {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  unsigned threads = 1;
  bool trace = false;
};

std::optional<Options> parse(const std::vector<std::string>& words) {
  Options options;
  try {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] == "--trace") {
        options.trace = true;
      } else if (words[i] == "-j" && i + 1 < words.size()) {
        options.threads = static_cast<unsigned>(std::stoul(words[++i]));
      } else if (words[i].starts_with("-j") && words[i].size() > 2) {
        options.threads = static_cast<unsigned>(std::stoul(words[i].substr(2)));
      } else if (words[i] == "--seeds" && i + 1 < words.size()) {
        const std::string& range = words[++i];
        const std::size_t colon = range.find(':');
        if (colon == std::string::npos) return std::nullopt;
        options.first = std::stoull(range.substr(0, colon));
        options.end = std::stoull(range.substr(colon + 1));
      } else {
        return std::nullopt;
      }
    }
  } catch (const std::exception&) {
    return std::nullopt;
  }
  return options.end > options.first && options.threads > 0 ? std::optional{options} : std::nullopt;
}

struct Totals {
  std::mutex mutex;
  Report sum;
  std::uint64_t runs = 0;
  std::uint64_t failures = 0;

  void add(const Report& report) {
    const std::lock_guard lock{mutex};
    ++runs;
    sum.steps += report.steps;
    sum.faults += report.faults;
    sum.restarts += report.restarts;
    sum.virtual_seconds += report.virtual_seconds;
    sum.tasks += report.tasks;
    sum.duplicates += report.duplicates;
    sum.innocent_dead += report.innocent_dead;
  }
  void fail(std::uint64_t seed, const std::string& why) {
    const std::lock_guard lock{mutex};
    ++runs;
    ++failures;
    std::cout << "seed " << seed << ": " << why << "\n  again: ventile-simulate --seeds " << seed << ':' << seed + 1
              << " --trace" << std::endl;
  }
};

void run_one(std::uint64_t seed, bool trace, Totals& totals) {
  try {
    totals.add(Simulation{seed, trace ? &std::cout : nullptr}.run());
  } catch (const std::exception& wrong) {
    totals.fail(seed, wrong.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Options> options = parse({argv + 1, argv + argc});
  if (!options) {
    std::cerr << usage;
    return 2;
  }
  Totals totals;
  std::atomic<std::uint64_t> next{options->first};
  const auto started = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < (options->trace ? 1 : options->threads); ++i)
    threads.emplace_back([&] {
      for (std::uint64_t seed = next++; seed < options->end; seed = next++) run_one(seed, options->trace, totals);
    });
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::cout << totals.runs << " runs, " << totals.failures << " failures; " << totals.sum.tasks << " tasks, "
            << totals.sum.faults << " faults, " << totals.sum.restarts << " restarts, " << totals.sum.duplicates
            << " duplicates, " << totals.sum.innocent_dead << " innocent dead, " << totals.sum.steps << " events in "
            << totals.sum.virtual_seconds << " virtual and " << seconds << " real seconds\n";
  return totals.failures == 0 ? 0 : 1;
}
