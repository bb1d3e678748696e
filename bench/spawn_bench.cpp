// What does a command cost when `ventile run` starts it, watches it and gathers what it writes?
//
// The other side is a loop around posix_spawn that keeps as many commands running and does nothing else: no pipes, no
// groups, no shell. Both run in turns. Rounds of xargs and GNU Parallel, where they are installed, come last.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace ventile::bench {
namespace {

constexpr int rounds = 3;

using Seconds = std::chrono::duration<double>;

pid_t spawn(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t process = 0;
  if (posix_spawnp(&process, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
    throw std::runtime_error("cannot start " + words.front());
  return process;
}

int wait_for(pid_t process) {
  int status = 0;
  if (waitpid(process, &status, 0) < 0) throw std::runtime_error("a process is lost");
  return status;
}

// Runs a command `count` times, `slots` at once.
double bare_loop(const std::vector<std::string>& words, int count, int slots) {
  const auto begin = std::chrono::steady_clock::now();
  int running = 0;
  for (int started = 0; started < count; ++started, ++running) {
    if (running == slots) {
      wait_for(-1);
      --running;
    }
    spawn(words);
  }
  for (; running > 0; --running) wait_for(-1);
  return Seconds{std::chrono::steady_clock::now() - begin}.count();
}

double whole_program(const std::vector<std::string>& words) {
  const auto begin = std::chrono::steady_clock::now();
  if (wait_for(spawn(words)) != 0) throw std::runtime_error(words.front() + " failed");
  return Seconds{std::chrono::steady_clock::now() - begin}.count();
}

// The program of this build, or the one in PATH.
std::string ventile() {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/ventile";
  return std::filesystem::exists(here) ? here.string() : "ventile";
}

// A file of `count` lines.
std::string arguments_file(int count) {
  std::string path = std::filesystem::temp_directory_path() / ("spawn-bench-" + std::to_string(getpid()));
  std::ofstream file{path};
  for (int i = 0; i < count; ++i) file << i << '\n';
  return path;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<std::string> ventile_run(int slots, const std::string& arguments, const std::vector<std::string>& command) {
  std::vector<std::string> words{ventile(), "run", "-j" + std::to_string(slots)};
  words.insert(words.end(), command.begin(), command.end());
  words.insert(words.end(), {"::::", arguments});
  return words;
}

// `true`, range(0) at once, range(1) times in all; start and end of `ventile run` are within.
void spawn_true(benchmark::State& state) {
  const auto slots = static_cast<int>(state.range(0));
  const auto count = static_cast<int>(state.range(1));
  const std::string arguments = arguments_file(count);
  std::vector<double> bare;
  std::vector<double> ours;
  while (state.KeepRunning()) {
    for (int round = 0; round < rounds; ++round) {
      bare.push_back(bare_loop({"true", "0"}, count, slots));
      ours.push_back(whole_program(ventile_run(slots, arguments, {"true"})));
    }
  }
  std::filesystem::remove(arguments);
  state.counters["bare_per_second"] = count / median(bare);
  state.counters["commands_per_second"] = count / median(ours);
  state.counters["ratio_to_bare"] = median(bare) / median(ours);
}

// Commands that sleep range(1) milliseconds, range(2) of them: how much longer it takes than it must.
void lost_time(benchmark::State& state) {
  const auto slots = static_cast<int>(state.range(0));
  const auto count = static_cast<int>(state.range(2));
  const double each = static_cast<double>(state.range(1)) / 1000;
  const std::string arguments = arguments_file(count);
  const std::string seconds = std::to_string(each);
  std::vector<double> bare;
  std::vector<double> ours;
  while (state.KeepRunning()) {
    bare.push_back(bare_loop({"sleep", seconds}, count, slots));
    ours.push_back(whole_program(ventile_run(slots, arguments, {"--stdin", "sleep", seconds})));
  }
  std::filesystem::remove(arguments);
  state.counters["bare_seconds"] = median(bare);
  state.counters["seconds"] = median(ours);
  state.counters["lost_percent"] = 100 * (median(ours) / median(bare) - 1);
}

// The same work by another program.
void others(benchmark::State& state, const std::vector<std::string>& words, int count) {
  const std::string arguments = arguments_file(count);
  std::string line;
  for (const std::string& word : words) line.append(word).append(" ");
  line.append("< ").append(arguments).append(" > /dev/null 2>&1");
  while (state.KeepRunning()) {
    const double seconds = whole_program({"sh", "-c", line});
    state.counters["commands_per_second"] = count / seconds;
  }
  std::filesystem::remove(arguments);
}

void register_other(const std::string& name, const std::vector<std::string>& words, int count) {
  if (!std::filesystem::exists("/usr/bin/" + words.front())) return;
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the library owns it.
  benchmark::RegisterBenchmark(name.c_str(), others, words, count)->Iterations(1)->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace ventile::bench

int main(int argc, char** argv) {
  using namespace ventile::bench;
  benchmark::RegisterBenchmark("spawn_true", spawn_true)
      ->ArgNames({"slots", "commands"})
      ->Args({1, 1000})
      ->Args({2, 3000})
      ->Args({8, 3000})
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("lost_time", lost_time)
      ->ArgNames({"slots", "ms", "commands"})
      ->Args({2, 10, 1000})
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  register_other("xargs", {"xargs", "-P2", "-n1", "true"}, 3000);
  register_other("gnu_parallel", {"parallel", "--will-cite", "-j2", "true"}, 500);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
