#include <ventile/keys/key_files.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace ventile {
namespace {

constexpr std::string_view key_heading = "ventile-key 1";
constexpr std::string_view peers_heading = "ventile-peers 1";
constexpr std::size_t key_bytes_max = 4096;
constexpr std::size_t name_size_max = 64;

std::string path_of(const std::string& folder, std::string_view file) { return folder + "/" + std::string(file); }

Error cannot(std::string_view what, const std::string& path) {
  const int cause = errno;
  // In a container it is rarely who one thinks it is.
  const std::string who = cause == EACCES ? " to user " + std::to_string(::geteuid()) : std::string{};
  return {Code::unavailable,
          "cannot " + std::string(what) + " " + path + ": " + std::generic_category().message(cause) + who};
}

Error damaged(const std::string& path, const std::string& what) { return {Code::corrupt, path + ": " + what}; }

class File {
public:
  File(const std::string& path, int flags, mode_t mode = 0)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

  // Until the end, or until there is no room. Minus one: it failed.
  ssize_t read(std::span<char> into) const {
    std::size_t size = 0;
    while (size < into.size()) {
      const ssize_t more = ::read(descriptor_, into.data() + size, into.size() - size);
      if (more < 0 && errno == EINTR) continue;
      if (more < 0) return -1;
      if (more == 0) break;
      size += static_cast<std::size_t>(more);
    }
    return static_cast<ssize_t>(size);
  }

  bool write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t done = ::write(descriptor_, text.data(), text.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return false;
      text.remove_prefix(static_cast<std::size_t>(done));
    }
    return ::fsync(descriptor_) == 0;
  }

private:
  int descriptor_;
};

// The next line that says something; takes it from the text.
std::optional<std::string_view> next_line(std::string_view& text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.front() != '#') return line;
  }
  return std::nullopt;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::optional<KnownPeer> peer_of(std::string_view line) {
  std::vector<std::string_view> words = words_of(line);
  KnownPeer peer;
  peer.revoked = !words.empty() && words.front() == "revoked";
  if (peer.revoked) words.erase(words.begin());
  if (words.size() != 3) return std::nullopt;
  const std::optional<KeyRole> role = key_role_of(words[0]);
  if (!role || !is_key_name(words[1]) || !is_curve_key(words[2])) return std::nullopt;
  peer.role = *role;
  peer.name = words[1];
  peer.public_key = words[2];
  return peer;
}

Status fill(OwnKey& key, std::string_view text, const std::string& path) {
  if (next_line(text) != key_heading) return damaged(path, "expected '" + std::string(key_heading) + "' first");
  bool has_role = false;
  while (const auto line = next_line(text)) {
    const std::vector<std::string_view> words = words_of(*line);
    if (words.size() != 2) return damaged(path, "expected a word and its value on every line");
    if (words[0] == "role") {
      const std::optional<KeyRole> role = key_role_of(words[1]);
      if (!role) return damaged(path, "it has a role that is not known here");
      key.role = *role;
      has_role = true;
    } else if (words[0] == "name") {
      if (!is_key_name(words[1])) return damaged(path, "its name is none");
      key.name = words[1];
    } else if (words[0] == "secret") {
      auto pair = KeyPair::of_secret(words[1]);
      if (!pair) return damaged(path, pair.error().message);
      key.pair = *std::move(pair);
    }
  }
  if (!has_role || key.name.empty() || key.pair == nullptr)
    return damaged(path, "expected a role, a name and a secret");
  return {};
}

}  // namespace

bool is_key_name(std::string_view name) {
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= name_size_max && is_alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

Result<OwnKey> read_key(const std::string& folder) {
  const std::string path = path_of(folder, key_file);
  const File file(path, O_RDONLY);
  struct stat status {};
  if (!file.is_open() || ::fstat(file.descriptor(), &status) != 0) return cannot("read", path);
  SecretMemory memory(key_bytes_max);
  const ssize_t size = file.read(memory.bytes());
  if (size < 0) return cannot("read", path);
  OwnKey key;
  // One that is not ours, as in a pod, is read by its group, and by nobody else.
  const mode_t others = status.st_uid == ::geteuid() ? S_IRGRP | S_IROTH : S_IROTH;
  key.others_may_read = (status.st_mode & others) != 0;
  if (Status filled = fill(key, {memory.bytes().data(), static_cast<std::size_t>(size)}, path); !filled)
    return filled.error();
  return key;
}

Result<std::vector<KnownPeer>> read_peers(const std::string& folder) {
  const std::string path = path_of(folder, peers_file);
  const File file(path, O_RDONLY);
  struct stat status {};
  if (!file.is_open() || ::fstat(file.descriptor(), &status) != 0) return cannot("read", path);
  if (static_cast<std::size_t>(status.st_size) > peers_bytes_max) return damaged(path, "it is too large");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t size = file.read(bytes);
  if (size < 0) return cannot("read", path);
  std::string_view text{bytes.data(), static_cast<std::size_t>(size)};
  if (next_line(text) != peers_heading) return damaged(path, "expected '" + std::string(peers_heading) + "' first");
  std::vector<KnownPeer> peers;
  std::set<std::string> keys;
  while (const auto line = next_line(text)) {
    const std::optional<KnownPeer> peer = peer_of(*line);
    if (!peer) return damaged(path, "expected a role, a name and a public key on every line");
    if (!keys.insert(peer->public_key).second) return damaged(path, "two lines have the same key");
    peers.push_back(*peer);
  }
  return peers;
}

Status write_key(const std::string& folder, const OwnKey& key) {
  const std::string path = path_of(folder, key_file);
  const File file(path, O_WRONLY | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
  if (!file.is_open()) return cannot("make", path);
  SecretMemory memory(key_bytes_max);
  const int size =
      std::snprintf(memory.bytes().data(), memory.bytes().size(), "%s\nrole %s\nname %s\npublic %s\nsecret %.*s\n",
                    std::string(key_heading).c_str(), std::string(to_string(key.role)).c_str(), key.name.c_str(),
                    key.pair->public_key().c_str(), static_cast<int>(curve_key_size), key.pair->secret_key().data());
  if (!file.write({memory.bytes().data(), static_cast<std::size_t>(size)})) return cannot("write", path);
  return {};
}

Status write_peers(const std::string& folder, const std::vector<KnownPeer>& peers) {
  std::string text{peers_heading};
  text += "\n";
  for (const KnownPeer& peer : peers)
    text += (peer.revoked ? "revoked " : "") + std::string(to_string(peer.role)) + " " + peer.name + " " +
            peer.public_key + "\n";
  const std::string path = path_of(folder, peers_file);
  const std::string draft = path + ".new";
  {
    const File file(draft, O_WRONLY | O_CREAT | O_TRUNC, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
    if (!file.is_open() || !file.write(text)) return cannot("write", draft);
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) return cannot("replace", path);
  const File entry(folder, O_RDONLY | O_DIRECTORY);
  if (!entry.is_open() || ::fsync(entry.descriptor()) != 0) return cannot("write", folder);
  return {};
}

}  // namespace ventile
