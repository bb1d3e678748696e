#include <nodes/bench/local_cluster.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace ventile {
namespace {

constexpr std::string_view announcement = "serving clients and workers on ";

Error system_error(const std::string& what) { return Error{Code::unavailable, what + ": " + std::strerror(errno)}; }

}  // namespace

LocalCluster::~LocalCluster() {
  while (!processes_.empty()) processes_.pop_back();  // The broker last.
  if (said_ >= 0) close(said_);
  close_door();
}

void LocalCluster::close_door() {
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  folder_.clear();
}

Status LocalCluster::start(Transport transport, std::uint32_t workers) {
  std::string bind = "tcp://127.0.0.1:0";
  if (transport == Transport::ipc) {
    std::string name = (std::filesystem::temp_directory_path() / "ventile-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) return system_error("cannot make a folder " + name);
    folder_ = name;
    bind = "ipc://" + folder_ + "/broker";
  }
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  said_ = ends[0];
  Status spawned = spawn({"ventile", "broker", "--bind", bind}, ends[1]);
  close(ends[1]);
  if (!spawned) return spawned;
  Result<std::string> bound = bound_address();
  if (!bound) return bound.error();
  address_ = *std::move(bound);
  for (std::uint32_t i = 0; i < workers; ++i) {
    spawned = spawn({"ventile", "worker", "--quiet", "--slots", "1", "--connect", address_}, -1);
    if (!spawned) return spawned;
  }
  return {};
}

Status LocalCluster::spawn(const std::vector<std::string>& words, int standard_error) {
  Result<ChildProcess> process = ChildProcess::start({.words = words, .standard_error = standard_error});
  if (!process) return process.error();
  processes_.push_back(std::move(*process));
  return {};
}

Result<std::string> LocalCluster::bound_address() const {
  std::string said;
  std::array<char, 512> some{};
  while (true) {
    const ssize_t count = read(said_, some.data(), some.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Error{Code::unavailable, "the broker did not start: " + said};
    said.append(some.data(), static_cast<std::size_t>(count));
    const std::size_t at = said.find(announcement);
    const std::size_t end = at == std::string::npos ? at : said.find('\n', at);
    if (end != std::string::npos) return said.substr(at + announcement.size(), end - at - announcement.size());
  }
}

}  // namespace ventile
