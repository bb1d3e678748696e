#include <tests/system/children.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include <tests/system/process.hpp>

namespace ventile {
namespace {

std::string words_of(pid_t process) {
  std::string words;
  std::getline(std::ifstream{"/proc/" + std::to_string(process) + "/cmdline"}, words);
  return words;
}

std::vector<pid_t> numbers_of_children(pid_t parent) {
  std::ifstream in{"/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children"};
  std::vector<pid_t> children;
  for (pid_t child = 0; in >> child;) children.push_back(child);
  return children;
}

}  // namespace

Witness::Witness(pid_t process)
    : process_(process), descriptor_(static_cast<int>(syscall(SYS_pidfd_open, process, 0))) {}

Witness::Witness(Witness&& other) noexcept
    : process_(other.process_), descriptor_(std::exchange(other.descriptor_, -1)) {}

Witness::~Witness() {
  if (descriptor_ >= 0) close(descriptor_);
}

void Witness::signal(int number) const { syscall(SYS_pidfd_send_signal, descriptor_, number, nullptr, 0); }

bool Witness::sees_the_end() const {
  pollfd end{descriptor_, POLLIN, 0};
  return poll(&end, 1, static_cast<int>(std::chrono::milliseconds{guard}.count())) == 1;
}

std::vector<Witness> children_of(pid_t parent, std::size_t count) {
  const auto has_begun = [parent](pid_t child) {
    const std::string words = words_of(child);
    return !words.empty() && words != words_of(parent);  // Now: when it had no child it was perhaps not begun itself.
  };
  std::vector<pid_t> children;
  while (children.size() < count || !std::all_of(children.begin(), children.end(), has_begun)) {
    std::this_thread::yield();
    children = numbers_of_children(parent);
  }
  return {children.begin(), children.end()};
}

}  // namespace ventile
