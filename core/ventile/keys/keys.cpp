#include <ventile/keys/keys.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include <ventile/keys/key_files.hpp>

namespace ventile {
namespace {

using Guests = std::map<std::string, Guest, std::less<>>;

// By which a file is known to be the one that was read.
struct Stamp {
  ino_t inode = 0;
  off_t size = 0;
  timespec changed{};

  bool operator==(const Stamp& other) const {
    return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec;
  }
};

std::optional<Stamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return Stamp{status.st_ino, status.st_size, status.st_mtim};
}

bool has_key(const std::string& folder) { return stamp_of(folder + "/" + std::string(key_file)).has_value(); }

// Whom an owner of that role lets in. Workers come to a worker that is the next stage of a pipeline.
bool may_visit(KeyRole owner, KeyRole guest) {
  if (owner == KeyRole::dispatcher) return true;
  return (owner == KeyRole::sink || owner == KeyRole::worker) && guest == KeyRole::worker;
}

std::string names_of(const std::vector<KeyRole>& roles) {
  std::string text;
  for (const KeyRole role : roles) text += (text.empty() ? "" : " or ") + std::string(one(role));
  return text;
}

}  // namespace

class Keys::Book final : public Admission {
public:
  Book(std::string folder, OwnKey own, Log log)
      : folder_(std::move(folder)),
        own_(std::move(own)),
        log_(std::move(log)),
        caution_(own_.others_may_read ? "others than their owner may read the secret in " + folder_ + "; chmod 600 " +
                                            folder_ + "/" + std::string(key_file)
                                      : std::string{}) {}

  const OwnKey& own() const { return own_; }
  const std::string& caution() const { return caution_; }
  std::uint64_t changes() const { return changes_; }
  std::uint64_t departures() const { return departures_; }
  const Sealer* sealer() const { return sealer_.get(); }

  // With the sink's key the dispatcher, and the other way round; a dispatcher that knows no sink with its own.
  Status agree() {
    if (own_.role != KeyRole::dispatcher && own_.role != KeyRole::sink) return {};
    std::string other = key_of(own_.role == KeyRole::sink ? KeyRole::dispatcher : KeyRole::sink);
    if (other.empty()) other = own_.pair->public_key();
    SecretMemory secret(KeyPair::agreed_size);
    if (!own_.pair->agree(other, secret.bytes().first<KeyPair::agreed_size>()))
      return Error{Code::corrupt, "a key in " + folder_ + " is not one that anything can be agreed on with"};
    sealer_ = std::make_unique<const Sealer>(secret.bytes());
    return {};
  }

  std::string key_of(KeyRole role, std::string_view name = {}) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const KnownPeer& peer) {
      return peer.role == role && (name.empty() || peer.name == name);
    });
    return found == known_.end() ? std::string{} : found->public_key;
  }

  std::optional<Guest> guest(std::string_view public_key) const {
    const std::lock_guard lock(mutex_);
    const auto found = guests_.find(public_key);
    return found == guests_.end() ? std::nullopt : std::optional{found->second};
  }

  bool admits(std::string_view public_key) const override { return guest(public_key).has_value(); }

  Status load() {
    const std::optional<Stamp> stamp = stamp_of(folder_ + "/" + std::string(peers_file));
    Result<std::vector<KnownPeer>> peers = read_peers(folder_);
    const std::lock_guard lock(mutex_);
    stamp_ = stamp;
    if (!peers) return peers.error();
    take(*peers);
    return {};
  }

  void refresh() override {
    const std::optional<Stamp> stamp = stamp_of(folder_ + "/" + std::string(peers_file));
    {
      const std::lock_guard lock(mutex_);
      if (stamp == stamp_) return;
    }
    if (Status loaded = load(); !loaded)
      log_.error(loaded.error().message + "; going on with the keys as they were");
    else
      log_.info("read the keys in " + folder_ + " again: " + std::to_string(guest_count()) + " may come in");
  }

private:
  const std::string folder_;
  const OwnKey own_;
  const Log log_;
  const std::string caution_;
  std::unique_ptr<const Sealer> sealer_;
  std::atomic<std::uint64_t> changes_ = 0;
  std::atomic<std::uint64_t> departures_ = 0;
  mutable std::mutex mutex_;  // Guards what follows.
  Guests guests_;
  std::vector<KnownPeer> known_;  // And not revoked.
  std::optional<Stamp> stamp_;

  // Whoever serves may ask itself how it is: that is what a health check beside it does.
  void take(const std::vector<KnownPeer>& peers) {
    const Guests before = std::exchange(guests_, {});
    known_.clear();
    if (own_.role == KeyRole::dispatcher) known_.push_back({own_.role, own_.name, own_.pair->public_key(), false});
    std::copy_if(peers.begin(), peers.end(), std::back_inserter(known_),
                 [](const auto& peer) { return !peer.revoked; });
    for (const KnownPeer& peer : known_)
      if (may_visit(own_.role, peer.role)) guests_.insert_or_assign(peer.public_key, Guest{peer.role, peer.name});
    ++changes_;
    if (std::any_of(before.begin(), before.end(), [this](const auto& guest) { return is_gone(guest); })) ++departures_;
  }

  bool is_gone(const Guests::value_type& guest) const {
    const auto now = guests_.find(guest.first);
    return now == guests_.end() || now->second.role != guest.second.role;
  }

  std::size_t guest_count() const {
    const std::lock_guard lock(mutex_);
    return guests_.size();
  }
};

// Lets in the guests of one role.
class Keys::Only final : public Admission {
public:
  Only(std::shared_ptr<Book> book, KeyRole role) : book_(std::move(book)), role_(role) {}

  bool admits(std::string_view public_key) const override {
    const std::optional<Guest> guest = book_->guest(public_key);
    return guest && guest->role == role_;
  }
  void refresh() override { book_->refresh(); }

private:
  std::shared_ptr<Book> book_;
  KeyRole role_;
};

Keys::Keys(std::shared_ptr<Book> book) : book_(std::move(book)) {}

Result<Keys> Keys::open(const std::string& folder, const std::vector<KeyRole>& roles, Log log) {
  std::string own = folder.size() > 1 && folder.ends_with('/') ? folder.substr(0, folder.size() - 1) : folder;
  if (!has_key(own)) {
    const auto role = std::find_if(roles.begin(), roles.end(),
                                   [&](KeyRole one) { return has_key(own + "/" + std::string(to_string(one))); });
    own += "/" + std::string(to_string(role == roles.end() ? roles.front() : *role));
  }
  Result<OwnKey> key = read_key(own);
  if (!key) return key.error();
  if (std::find(roles.begin(), roles.end(), key->role) == roles.end())
    return Error{Code::invalid,
                 own + " holds the key of " + std::string(one(key->role)) + ", expected that of " + names_of(roles)};
  auto book = std::make_shared<Book>(own, *std::move(key), std::move(log));
  if (Status loaded = book->load(); !loaded) return loaded.error();
  if (Status agreed = book->agree(); !agreed) return agreed.error();
  return Keys(std::move(book));
}

KeyRole Keys::role() const { return book_->own().role; }
const std::string& Keys::name() const { return book_->own().name; }
const std::string& Keys::caution() const { return book_->caution(); }

Curve Keys::to_serve() const {
  if (book_ == nullptr) return {};
  return {book_->own().pair, {}, book_, strangers_max_};
}

Curve Keys::to_serve(KeyRole guests) const {
  if (book_ == nullptr) return {};
  return {book_->own().pair, {}, std::make_shared<Only>(book_, guests), strangers_max_};
}

Curve Keys::to_meet(KeyRole other, std::string_view name) const {
  if (book_ == nullptr) return {};
  return {book_->own().pair, book_->key_of(other, name)};
}

std::optional<Guest> Keys::guest(std::string_view public_key) const {
  return book_ == nullptr ? std::nullopt : book_->guest(public_key);
}

SealCode Keys::seal(const SealedLease& lease) const {
  const Sealer* const sealer = book_ == nullptr ? nullptr : book_->sealer();
  return sealer == nullptr ? SealCode{} : sealer->seal(lease);
}

std::uint64_t Keys::changes() const { return book_ == nullptr ? 0 : book_->changes(); }
std::uint64_t Keys::departures() const { return book_ == nullptr ? 0 : book_->departures(); }
Status Keys::reload() const { return book_ == nullptr ? Status{} : book_->load(); }

}  // namespace ventile
