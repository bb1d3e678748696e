// ventile-simulate: runs simulations for a range of seeds. One seed is one run, exactly; a failing one says how to see
// it again. Or plants mistakes into the deciders, and says which seeds find them.
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

#include "tests/simulation/planted.hpp"

namespace {

using ventile::simulation::planted_faults;
using ventile::simulation::planted_seeds_max;
using ventile::simulation::PlantedFault;
using ventile::simulation::Report;
using ventile::simulation::Setting;
using ventile::simulation::simulate;
using ventile::simulation::wrong_with;

constexpr std::string_view usage =
    "usage: ventile-simulate --seeds A:B [--setting NAME] [-j N] [--trace]\n"
    "       ventile-simulate --planted NAME [--seeds A:B] [-j N] [--trace]\n"
    "  --seeds A:B      the seeds from A up to, but not including, B\n"
    "  --setting NAME   fabric (default): ventilator, workers and sink; clients: a broker and its clients; kept:\n"
    "                   clients that leave and come back for their results; pipeline\n"
    "  --planted NAME   plants this mistake, or each in turn (all), and prints the first seed that finds it\n"
    "  -j N             so many at once\n"
    "  --trace          print what happens\n";

struct Options {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  Setting setting = Setting::fabric;
  std::string planted;
  unsigned threads = 1;
  bool trace = false;
};

bool parse_setting(const std::string& name, Setting& setting) {
  for (const Setting one : {Setting::fabric, Setting::clients, Setting::kept, Setting::pipeline}) {
    if (to_string(one) != name) continue;
    setting = one;
    return true;
  }
  return false;
}

bool parse_seeds(const std::string& range, Options& options) {
  const std::size_t colon = range.find(':');
  if (colon == std::string::npos) return false;
  options.first = std::stoull(range.substr(0, colon));
  options.end = std::stoull(range.substr(colon + 1));
  return options.end > options.first;
}

std::optional<Options> parse(const std::vector<std::string>& words) {
  Options options;
  try {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const bool more = i + 1 < words.size();
      if (words[i] == "--trace") {
        options.trace = true;
      } else if (words[i] == "-j" && more) {
        options.threads = static_cast<unsigned>(std::stoul(words[++i]));
      } else if (words[i].starts_with("-j") && words[i].size() > 2) {
        options.threads = static_cast<unsigned>(std::stoul(words[i].substr(2)));
      } else if (words[i] == "--planted" && more) {
        options.planted = words[++i];
      } else if (words[i] == "--setting" && more) {
        if (!parse_setting(words[++i], options.setting)) return std::nullopt;
      } else if (words[i] != "--seeds" || !more || !parse_seeds(words[++i], options)) {
        return std::nullopt;
      }
    }
  } catch (const std::exception&) {
    return std::nullopt;
  }
  if (options.end == 0 && !options.planted.empty()) options.first = 1, options.end = planted_seeds_max + 1;
  if (options.trace) options.threads = 1;
  return options.end > options.first && options.threads > 0 ? std::optional{options} : std::nullopt;
}

template <class What>
void on_threads(unsigned count, What what) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) threads.emplace_back(what);
  for (std::thread& thread : threads) thread.join();
}

// --- Seeds -------------------------------------------------------------------------------------------------------

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
  void fail(Setting setting, std::uint64_t seed, const std::string& why) {
    const std::lock_guard lock{mutex};
    ++runs;
    ++failures;
    std::cout << "seed " << seed << ": " << why << "\n  again: ventile-simulate --setting " << to_string(setting)
              << " --seeds " << seed << ':' << seed + 1 << " --trace" << std::endl;
  }
};

void run_one(const Options& options, std::uint64_t seed, Totals& totals) {
  try {
    totals.add(simulate(options.setting, seed, options.trace ? &std::cout : nullptr));
  } catch (const std::exception& wrong) {
    totals.fail(options.setting, seed, wrong.what());
  }
}

int run_seeds(const Options& options) {
  Totals totals;
  std::atomic<std::uint64_t> next{options.first};
  const auto started = std::chrono::steady_clock::now();
  on_threads(options.threads, [&] {
    for (std::uint64_t seed = next++; seed < options.end; seed = next++) run_one(options, seed, totals);
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::cout << totals.runs << " runs, " << totals.failures << " failures; " << totals.sum.tasks << " tasks, "
            << totals.sum.faults << " faults, " << totals.sum.restarts << " restarts, " << totals.sum.duplicates
            << " duplicates, " << totals.sum.innocent_dead << " innocent dead, " << totals.sum.steps << " events in "
            << totals.sum.virtual_seconds << " virtual and " << seconds << " real seconds\n";
  return totals.failures == 0 ? 0 : 1;
}

// --- Planted mistakes --------------------------------------------------------------------------------------------

// The lowest seed that finds it: those above it are given up as soon as one is known.
bool find(const PlantedFault& fault, const Options& options) {
  std::mutex mutex;
  std::uint64_t found = UINT64_MAX;
  std::string why;
  std::atomic<std::uint64_t> next{options.first};
  on_threads(options.threads, [&] {
    for (std::uint64_t seed = next++; seed < options.end; seed = next++) {
      {
        const std::lock_guard lock{mutex};
        if (found < seed) return;
      }
      const auto wrong = wrong_with(fault.name, fault.setting, seed, options.trace ? &std::cout : nullptr);
      const std::lock_guard lock{mutex};
      if (!wrong || seed > found) continue;
      found = seed;
      why = *wrong;
    }
  });
  if (found == UINT64_MAX) {
    std::cout << "NOT FOUND: " << fault.name << std::endl;
    return false;
  }
  std::cout << "{\"" << fault.name << "\", Setting::" << to_string(fault.setting) << ", " << found << "},  // " << why
            << std::endl;
  return true;
}

int run_planted(const Options& options) {
  std::size_t tried = 0;
  std::size_t found = 0;
  for (const PlantedFault& fault : planted_faults()) {
    if (options.planted != "all" && options.planted != fault.name) continue;
    ++tried;
    found += find(fault, options) ? 1 : 0;
  }
  std::cout << found << " of " << tried << " planted mistakes found\n";
  return tried > 0 && found == tried ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Options> options = parse({argv + 1, argv + argc});
  if (!options) {
    std::cerr << usage;
    return 2;
  }
  return options->planted.empty() ? run_seeds(*options) : run_planted(*options);
}
