// What does it cost to be durable? The programs as users run them, over tcp: ventilator, a worker and a sink whose
// output is a file, with --durable on ventilator and sink and without, in turn. And a broker, a worker and `ventile
// map`, with --durable on the broker and without.
//
// Tasks are lines of 31 bytes, packed in 32, that come back as they are. From a file the ventilator reads them again
// after a crash; from a pipe it writes them to its journal before a worker sees them, as a broker does with what
// clients send. The folder is below TMPDIR: set it to the disk that is to be measured. A file system in memory says
// nothing. The clock runs from the start of the first program to the end of the last.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace ventile::bench {
namespace {

constexpr std::uint64_t tasks = 5'000'000;
constexpr std::size_t line_bytes = 32;  // With its end.
constexpr int rounds = 3;

std::string program(const std::string& name) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / name;
  return std::filesystem::exists(here) ? here.string() : name;
}

// A port that was free a moment ago, below those that the system gives to outgoing connections.
std::string free_address() {
  for (std::uint16_t port = 21'000; port < 32'000; ++port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free = ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(listener);
    if (is_free) return "tcp://127.0.0.1:" + std::to_string(port);
  }
  throw std::runtime_error("no port is free");
}

// The tasks, and what a run leaves behind; gone with the benchmark.
class Place {
public:
  Place() : path_(std::filesystem::temp_directory_path() / ("durable-bench-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    std::ofstream file{input()};
    for (std::uint64_t i = 0; i < tasks; ++i) file << "thirty-one bytes, packed in 32:\n";
  }
  ~Place() { std::filesystem::remove_all(path_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::string input() const { return path_ / "input"; }
  std::string output() const { return path_ / "output"; }
  std::string state() const { return path_ / "state"; }
  void clear() const {
    std::filesystem::remove_all(state());
    std::filesystem::remove(output());
  }

private:
  std::filesystem::path path_;
};

class Running {
public:
  explicit Running(const std::string& command) {
    const std::string shell = "exec 2>/dev/null >/dev/null; " + command;
    const char* const words[] = {"/bin/sh", "-c", shell.c_str(), nullptr};
    if (::posix_spawn(&process_, words[0], nullptr, nullptr, const_cast<char* const*>(words), environ) != 0)
      throw std::runtime_error("cannot start " + command);
  }
  void stop() const {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  void wait() const {
    int status = 0;
    if (::waitpid(process_, &status, 0) != process_ || status != 0) throw std::runtime_error("a program has failed");
  }

private:
  pid_t process_ = 0;
};

enum class From { file, pipe, client };

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Broker and worker stay when the client has all that it came for.
double run_broker(const Place& place, const std::string& address, const std::string& more) {
  const auto begin = std::chrono::steady_clock::now();
  const Running serving{"exec " + program("ventile-broker") + " --bind " + address + more};
  const Running working{"exec " + program("ventile-worker") + " --connect " + address + " -j 1"};
  const Running mapping{"exec " + program("ventile") + " map --connect " + address +
                        " --function echo --format lines --output-format raw --input " + place.input() + " --output " +
                        place.output()};
  mapping.wait();
  const double seconds = seconds_since(begin);
  working.stop();
  serving.stop();
  return seconds;
}

double run_job(const Place& place, From from, const std::string& address, const std::string& more) {
  const std::string ventilator =
      program("ventile-ventilator") + " --bind " + address + " --job bench --function echo --format lines" + more;
  const auto begin = std::chrono::steady_clock::now();
  const Running feeding{from == From::pipe ? "cat " + place.input() + " | " + ventilator
                                           : "exec " + ventilator + " --input " + place.input()};
  const Running working{"exec " + program("ventile-worker") + " --connect " + address + " -j 1 --once"};
  const Running collecting{"exec " + program("ventile-sink") + " --connect " + address + " --format raw --output " +
                           place.output() + more};
  for (const Running* const role : {&feeding, &working, &collecting}) role->wait();
  return seconds_since(begin);
}

// Seconds of one run.
double run(const Place& place, From from, bool durable) {
  place.clear();
  ::sync();  // What was written before is not this run's.
  const std::string more = durable ? " --durable " + place.state() : "";
  const double seconds =
      from == From::client ? run_broker(place, free_address(), more) : run_job(place, from, free_address(), more);
  if (std::filesystem::file_size(place.output()) != tasks * line_bytes)
    throw std::runtime_error("the output is not the input");
  return seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void durable(benchmark::State& state, From from) {
  const Place place;
  std::vector<double> plain;
  std::vector<double> durable;
  for (auto _ : state) {
    plain.push_back(run(place, from, false));
    durable.push_back(run(place, from, true));
    state.SetIterationTime(durable.back());
  }
  state.counters["tasks_per_s"] = static_cast<double>(tasks) / median(durable);
  state.counters["not_durable_per_s"] = static_cast<double>(tasks) / median(plain);
  state.counters["ratio_to_not_durable"] = median(plain) / median(durable);
}

BENCHMARK_CAPTURE(durable, from_a_file, From::file)->Iterations(rounds)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(durable, from_a_pipe, From::pipe)->Iterations(rounds)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(durable, by_a_broker, From::client)
    ->Iterations(rounds)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ventile::bench

BENCHMARK_MAIN();
