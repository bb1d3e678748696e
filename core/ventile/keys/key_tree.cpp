#include <ventile/keys/key_tree.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace ventile {
namespace {

// The dispatcher is the last to get its files: where it has them, all have.
constexpr KeyRole roles[] = {KeyRole::dispatcher, KeyRole::sink, KeyRole::worker, KeyRole::client, KeyRole::admin};

std::string folder_of(const std::string& root, KeyRole role) { return root + "/" + std::string(to_string(role)); }

std::string key_of(const std::string& root, KeyRole role) {
  return folder_of(root, role) + "/" + std::string(key_file);
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return {};
  return Error{Code::unavailable, "cannot make " + path + ": " + std::generic_category().message(errno)};
}

// Two who change the same keys at the same time wait for each other.
class Lock {
public:
  explicit Lock(const std::string& root) : descriptor_(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ >= 0) ::flock(descriptor_, LOCK_EX);
  }
  ~Lock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

private:
  int descriptor_;
};

bool may_have_many(KeyRole role) { return role != KeyRole::dispatcher && role != KeyRole::sink; }

// Whom a role needs to know, of all.
bool needs(KeyRole role, KeyRole other) {
  switch (role) {
    case KeyRole::dispatcher:
      return other != KeyRole::dispatcher;
    case KeyRole::sink:
      return other == KeyRole::dispatcher || other == KeyRole::worker;
    case KeyRole::worker:
      return other == KeyRole::dispatcher || other == KeyRole::sink;
    case KeyRole::client:
    case KeyRole::admin:
      return other == KeyRole::dispatcher;
  }
  return false;
}

std::vector<KnownPeer> known_to(KeyRole role, const std::vector<KnownPeer>& all) {
  std::vector<KnownPeer> known;
  std::copy_if(all.begin(), all.end(), std::back_inserter(known),
               [role](const KnownPeer& peer) { return needs(role, peer.role); });
  return known;
}

Status write_folder(const std::string& folder, const OwnKey& key, const std::vector<KnownPeer>& all) {
  if (Status made = make_folder(folder); !made) return made;
  if (Status written = write_key(folder, key); !written) return written;
  return write_peers(folder, known_to(key.role, all));
}

// Those who serve learn of a change; a sink's folder may have moved to another host already.
Status tell_those_who_serve(const std::string& root, const std::vector<KnownPeer>& all) {
  for (const KeyRole role : {KeyRole::dispatcher, KeyRole::sink}) {
    const std::string folder = folder_of(root, role);
    if (role == KeyRole::sink && !exists(folder)) continue;
    if (Status written = write_peers(folder, known_to(role, all)); !written) return written;
  }
  return {};
}

}  // namespace

Status make_key_tree(const std::string& root) {
  if (Status made = make_folder(root); !made) return made;
  const Lock lock(root);
  std::vector<KnownPeer> all;
  std::vector<OwnKey> keys;
  for (const KeyRole role : roles) {
    if (exists(key_of(root, role)))
      return Error{Code::invalid, "there is " + key_of(root, role) +
                                      " already, and whoever uses its key would be locked out by another"};
    keys.push_back({role, std::string(to_string(role)), KeyPair::make(), false});
    all.push_back({role, keys.back().name, keys.back().pair->public_key(), false});
  }
  std::reverse(keys.begin(), keys.end());
  for (const OwnKey& key : keys)
    if (Status written = write_folder(folder_of(root, key.role), key, all); !written) return written;
  return {};
}

bool has_key_tree(const std::string& root) { return exists(key_of(root, KeyRole::dispatcher)); }

Result<std::string> add_key(const std::string& root, KeyRole role, const std::string& name) {
  if (!may_have_many(role))
    return Error{Code::invalid, "there is one key for every " + std::string(to_string(role)) + ": copy " +
                                    folder_of(root, role) + " to the next one"};
  if (!is_key_name(name))
    return Error{Code::invalid, "'" + name + "' is no name: expected up to 64 letters, digits, dots and dashes"};
  const Lock lock(root);
  Result<std::vector<KnownPeer>> all = list_keys(root);
  if (!all) return all.error();
  const auto has_name = [&](const KnownPeer& peer) { return peer.name == name; };
  std::string folder = folder_of(root, role) + "-" + name;
  if (std::any_of(all->begin(), all->end(), has_name) || exists(folder))
    return Error{Code::invalid, "the name '" + name + "' is taken"};
  const OwnKey key{role, name, KeyPair::make(), false};
  all->push_back({role, name, key.pair->public_key(), false});
  if (Status written = write_folder(folder, key, *all); !written) return written.error();
  if (Status told = tell_those_who_serve(root, *all); !told) return told.error();
  return folder;
}

Status revoke_key(const std::string& root, const std::string& name) {
  const Lock lock(root);
  Result<std::vector<KnownPeer>> all = list_keys(root);
  if (!all) return all.error();
  const auto peer = std::find_if(all->begin(), all->end(), [&](const KnownPeer& one) { return one.name == name; });
  if (peer == all->end()) return Error{Code::invalid, "there is no key of the name '" + name + "'"};
  if (!may_have_many(peer->role))
    return Error{Code::invalid, "every other key relies on that of the " + std::string(to_string(peer->role)) +
                                    ": to replace it, make new keys for all"};
  peer->revoked = true;
  return tell_those_who_serve(root, *all);
}

Result<std::vector<KnownPeer>> list_keys(const std::string& root) {
  const std::string folder = folder_of(root, KeyRole::dispatcher);
  const Result<OwnKey> own = read_key(folder);
  if (!own) return own.error();
  Result<std::vector<KnownPeer>> others = read_peers(folder);
  if (!others) return others.error();
  others->insert(others->begin(), {own->role, own->name, own->pair->public_key(), false});
  return others;
}

Status touch_keys(const std::string& root) {
  const Lock lock(root);
  bool any = false;
  for (const KeyRole role : {KeyRole::dispatcher, KeyRole::sink}) {
    const std::string path = folder_of(root, role) + "/" + std::string(peers_file);
    any = ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0 || any;
  }
  if (!any) return Error{Code::unavailable, "there are no keys of a dispatcher or a sink in " + root};
  return {};
}

}  // namespace ventile
