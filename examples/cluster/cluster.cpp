// The program of examples/pi on a cluster: a broker, two worker processes, and the client.
//
//   cluster                        all of them on this machine
//   cluster ADDRESS [KEYS]         only the client, of a broker elsewhere; KEYS is a client's folder of `ventile
//   keygen` cluster work ADDRESS [KEYS]    only a worker; `ventile worker --plugin darts.so` is as good
//
// What makes it a cluster is the address, nothing else.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <examples/cluster/darts.hpp>
#include <ventile/queue/broker.hpp>
#include <ventile/ventile.hpp>

namespace {

constexpr std::uint64_t throwers = 64;
constexpr std::uint32_t darts = 500'000;

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

int throw_all(ventile::Pool& pool, const ventile::Task<Throw(std::uint64_t, std::uint32_t)>& task) {
  std::map<std::string, int> by_process;
  std::uint64_t hits = 0;
  for (const Throw& thrown : pool.map(task, std::views::iota(std::uint64_t{0}, throwers), darts)) {
    ++by_process[thrown.process];
    hits += thrown.hits;
  }
  std::cout << "pi is about " << 4.0 * static_cast<double>(hits) / (static_cast<double>(throwers) * darts) << ", by "
            << by_process.size() << (by_process.size() == 1 ? " process\n" : " processes\n");
  return by_process.contains(this_process()) ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  ventile::TaskRegistry tasks;
  const auto darts_task = tasks.add("throw_darts", throw_darts);
  if (!words.empty() && words[0] == "work") {
    ventile::work(tasks, words.at(1), {.slots = 1, .keys = words.size() > 2 ? words[2] : ""});
    return 0;
  }
  if (!words.empty()) {
    ventile::Pool pool{tasks, words[0], {.keys = words.size() > 1 ? words[1] : ""}};
    return throw_all(pool, darts_task);
  }

  const BrokerThread broker;
  const WorkerProcess one{argv[0], broker.address()};
  const WorkerProcess two{argv[0], broker.address()};

  ventile::Pool pool{tasks, broker.address()};
  while (pool.stats().workers < 2) std::this_thread::yield();  // Only so that both get a share of so short a job.
  return throw_all(pool, darts_task);
} catch (const std::exception& exception) {
  std::cerr << "cluster: " << exception.what() << '\n';
  return 1;
}
