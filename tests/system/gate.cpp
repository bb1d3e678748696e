#include <tests/system/gate.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include <tests/system/process.hpp>

namespace ventile {

Gate::Gate(std::string folder) : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_ + "/marks");
  std::filesystem::create_directories(folder_ + "/gates");
  EXPECT_EQ(mkfifo((folder_ + "/arrivals").c_str(), 0600), 0);
  arrivals_ = ::open((folder_ + "/arrivals").c_str(), O_RDWR | O_CLOEXEC);  // For reading; never at its end.
}

Gate::~Gate() {
  close(arrivals_);
  for (const auto& [number, descriptor] : opened_) close(descriptor);
}

std::string Gate::gate_of(std::int64_t number) const { return folder_ + "/gates/" + std::to_string(number); }
std::string Gate::mark_of(std::int64_t number) const { return folder_ + "/marks/" + std::to_string(number); }

void Gate::mark(std::int64_t number) {
  EXPECT_TRUE(mkfifo(gate_of(number).c_str(), 0600) == 0 || errno == EEXIST);
  std::ofstream{mark_of(number)};
}

bool Gate::marked(std::int64_t number) const { return std::filesystem::exists(mark_of(number)); }

Gate::Arrival Gate::next() {
  pollfd watched{arrivals_, POLLIN, 0};
  if (poll(&watched, 1, static_cast<int>(std::chrono::milliseconds{guard}.count())) != 1) {
    ADD_FAILURE() << "no marked task has begun";
    return {};
  }
  std::string line;
  for (char byte = 0; read(arrivals_, &byte, 1) == 1 && byte != '\n';) line += byte;
  std::istringstream words{line};
  Arrival arrival;
  words >> arrival.worker >> arrival.number;
  return arrival;
}

// Whoever opens the pipe for reading waits for a writer.
void Gate::open(std::int64_t number) {
  opened_.try_emplace(number, ::open(gate_of(number).c_str(), O_RDWR | O_CLOEXEC));
}

Process& worker_in_the_midst(Gate& gate, std::int64_t number, const std::function<Process&()>& start) {
  gate.mark(number);
  Process& worker = start();
  EXPECT_EQ(gate.next().worker, worker.pid());
  return worker;
}

void die_in_the_midst(Gate& gate, std::int64_t number, const std::function<Process&()>& start, Process& seen_by) {
  Process& worker = worker_in_the_midst(gate, number, start);
  worker.kill();
  worker.wait();
  seen_by.line_with(":" + std::to_string(worker.pid()) + " lost:");
}

}  // namespace ventile
