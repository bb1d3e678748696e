// The program of examples/pi on a cluster, all of it in one file: a broker, two worker processes, and the client.
//
// The broker could as well be `ventile-broker` on another machine, and the workers this program (`cluster work
// ADDRESS`) or `ventile-worker --plugin` on others: what makes it a cluster is the address, nothing else.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <random>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <ventile/queue/broker.hpp>
#include <ventile/ventile.hpp>

namespace {

constexpr std::uint64_t throwers = 64;
constexpr std::uint32_t darts = 500'000;

struct Throw {
  std::int64_t process = 0;  // Who threw.
  std::uint64_t hits = 0;

  static auto fields(auto& m) { return std::tie(m.process, m.hits); }
};

Throw throw_darts(std::uint64_t seed, std::uint32_t count) {
  std::mt19937_64 random{seed};
  const auto coordinate = [&random] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  Throw thrown{getpid(), 0};
  for (std::uint32_t i = 0; i < count; ++i) {
    const double x = coordinate();
    const double y = coordinate();
    thrown.hits += x * x + y * y < 1 ? 1 : 0;
  }
  return thrown;
}

// A broker on a thread of its own, at any free port.
class BrokerThread {
public:
  BrokerThread() : broker_(context_, reactor_, {.bind = {ventile::Transport::tcp, "127.0.0.1", 0}}) {
    const ventile::Result<ventile::Endpoint> bound = broker_.bind();
    if (!bound) throw std::runtime_error(bound.error().message);
    address_ = bound->to_string();
    reactor_.on_turn_end([this] { broker_.on_turn_end(); });
    reactor_.post([this] { broker_.start(); });
    thread_ = std::thread([this] { reactor_.run(); });
  }
  ~BrokerThread() {
    reactor_.post([this] { broker_.stop(); });
    reactor_.stop();
    thread_.join();
  }
  BrokerThread(const BrokerThread&) = delete;
  BrokerThread& operator=(const BrokerThread&) = delete;

  const std::string& address() const { return address_; }

private:
  ventile::Context context_;
  ventile::Reactor reactor_;
  ventile::Broker broker_;
  std::string address_;
  std::thread thread_;
};

// This program again, as a worker. It ends with its object.
class WorkerProcess {
public:
  WorkerProcess(std::string program, std::string address) {
    std::string role = "work";
    char* arguments[] = {program.data(), role.data(), address.data(), nullptr};
    if (posix_spawn(&process_, "/proc/self/exe", nullptr, nullptr, arguments, environ) != 0)
      throw std::runtime_error("cannot start a worker");
  }
  ~WorkerProcess() {
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

private:
  pid_t process_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
  ventile::TaskRegistry tasks;
  const auto darts_task = tasks.add("throw_darts", throw_darts);
  if (argc == 3 && std::string{argv[1]} == "work") {
    ventile::work(tasks, argv[2], {.slots = 1});
    return 0;
  }

  const BrokerThread broker;
  const WorkerProcess one{argv[0], broker.address()};
  const WorkerProcess two{argv[0], broker.address()};

  ventile::Pool pool{tasks, broker.address()};
  while (pool.stats().workers < 2) std::this_thread::yield();  // Only so that both get a share of so short a job.
  std::map<std::int64_t, int> by_process;
  std::uint64_t hits = 0;
  for (const Throw& thrown : pool.map(darts_task, std::views::iota(std::uint64_t{0}, throwers), darts)) {
    ++by_process[thrown.process];
    hits += thrown.hits;
  }
  std::cout << "pi is about " << 4.0 * static_cast<double>(hits) / (static_cast<double>(throwers) * darts) << ", by "
            << by_process.size() << " processes\n";
  return by_process.contains(getpid()) ? 1 : 0;
} catch (const std::exception& exception) {
  std::cerr << "cluster: " << exception.what() << '\n';
  return 1;
}
