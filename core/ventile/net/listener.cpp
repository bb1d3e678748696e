#include <ventile/net/listener.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

namespace ventile {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view unknown_process = "another process";

std::string read_all(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string describe_process(const std::string& pid) {
  std::string command = read_all("/proc/" + pid + "/cmdline");
  while (!command.empty() && command.back() == '\0') command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  return "process " + pid + (command.empty() ? "" : " (" + command + ")");
}

// /proc writes an address as 32-bit words in this machine's byte order, in hexadecimal.
std::string read_proc_address(std::string_view digits) {
  std::uint32_t words[4] = {};
  if (digits.size() != 8 && digits.size() != 32) return {};
  for (std::size_t i = 0; i < digits.size() / 8; ++i) {
    std::from_chars(digits.data() + 8 * i, digits.data() + 8 * i + 8, words[i], 16);
  }
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(digits.size() == 8 ? AF_INET : AF_INET6, words, text, sizeof text);
  return text;
}

bool keeps_from_binding(const Endpoint& held, const Endpoint& wanted) {
  return held.port == wanted.port && (held.host == wanted.host || held.is_wildcard() || wanted.is_wildcard());
}

// The inodes of the sockets in one of /proc's tables that listen where `wanted` is.
void add_listening_inodes(const char* table, const Endpoint& wanted, std::set<std::string>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);  // The heading.
  while (std::getline(file, line)) {
    std::istringstream columns(line);
    std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
    columns >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
    const std::size_t colon = local.find(':');
    if (!columns || state != "0A" || colon == std::string::npos) continue;
    Endpoint held{Transport::tcp, read_proc_address(std::string_view(local).substr(0, colon)), 0};
    std::from_chars(local.data() + colon + 1, local.data() + local.size(), held.port, 16);
    if (keeps_from_binding(held, wanted)) inodes.insert("socket:[" + inode + "]");
  }
}

bool has_one_of(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code error;  // Processes end and descriptors close while we look, and most are not ours to see.
  for (fs::directory_iterator at(process / "fd", error), end; !error && at != end; at.increment(error)) {
    std::error_code unreadable;
    if (inodes.contains(fs::read_symlink(at->path(), unreadable).string())) return true;
  }
  return false;
}

std::string tcp_listener(const Endpoint& wanted) {
  std::set<std::string> inodes;
  add_listening_inodes("/proc/net/tcp", wanted, inodes);
  add_listening_inodes("/proc/net/tcp6", wanted, inodes);
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const bool is_process = name.find_first_not_of("0123456789") == std::string::npos;
    if (is_process && has_one_of(at->path(), inodes)) return describe_process(name);
  }
  return std::string(unknown_process);
}

// Who answers at the path; nothing if nobody does.
std::optional<std::string> ipc_listener(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return std::nullopt;

  std::optional<std::string> listener;
  if (::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known = ::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
    listener = known ? describe_process(std::to_string(peer.pid)) : std::string(unknown_process);
  } else if (errno == EAGAIN) {
    listener = unknown_process;  // Alive, with a full backlog.
  }
  ::close(probe);
  return listener;
}

}  // namespace

std::string listener_of(const Endpoint& endpoint) {
  if (endpoint.transport == Transport::tcp) return tcp_listener(endpoint);
  if (endpoint.transport == Transport::inproc) return "a socket of this process";
  return ipc_listener(endpoint.host).value_or(std::string(unknown_process));
}

std::optional<std::string> obstacle_at_ipc_path(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  if (!S_ISSOCK(status.st_mode)) return "a file that is not a socket";
  return ipc_listener(path);
}

}  // namespace ventile
