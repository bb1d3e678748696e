// The keys of one role, as its sockets and its driver use them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/key_role.hpp>
#include <ventile/keys/seal.hpp>
#include <ventile/net/curve.hpp>

namespace ventile {

// Somebody whose key is known.
struct Guest {
  KeyRole role = KeyRole::worker;
  std::string name;
};

// A small value; copies share what was read. A default one stands for no keys at all, which suits addresses that nobody
// else can reach. From any thread.
//
// Of those who serve, the list of guests follows its file: within a second of a change, or at once by reload().
class Keys {
public:
  Keys() = default;

  // Reads a role's folder: `folder` itself if it holds a key, or else the folder in it that is named after the first of
  // the `roles` that has one. Code::invalid if the key there is for another role, Code::unavailable and Code::corrupt
  // as reading files has it. `log` hears of changes.
  static Result<Keys> open(const std::string& folder, const std::vector<KeyRole>& roles, Log log = {});

  explicit operator bool() const { return book_ != nullptr; }

  // Not of a default one.
  KeyRole role() const;
  const std::string& name() const;
  // What its owner should hear: that others may read the secret. Empty: nothing.
  const std::string& caution() const;

  // How many connections may wait to be let in at each address that is served with this: see Curve. Of this copy, and
  // of those made of it from now on.
  void limit_strangers(std::size_t most) { strangers_max_ = most; }

  // For a socket that binds, and lets in all guests or those of one role only; and for one that connects to a peer of
  // that role, the first that there is or the one with that name. Without keys all answer none.
  Curve to_serve() const;
  Curve to_serve(KeyRole guests) const;
  Curve to_meet(KeyRole other, std::string_view name = {}) const;

  // Of a dispatcher and of a sink, which come to the same: see seal.hpp. Others, and no keys at all, have none.
  SealCode seal(const SealedLease& lease) const;

  // Who has this public key and may come in here; none if that is nobody, or somebody no longer.
  std::optional<Guest> guest(std::string_view public_key) const;
  // Grows whenever the guests may be others.
  std::uint64_t changes() const;
  // Grows whenever somebody who was a guest is none any more: for sockets that cannot ask of each message who sent it.
  std::uint64_t departures() const;
  // Reads the list of guests again. On an error the list stays as it was.
  Status reload() const;

private:
  class Book;
  class Only;
  std::shared_ptr<Book> book_;
  std::size_t strangers_max_ = Curve{}.strangers_max;

  explicit Keys(std::shared_ptr<Book> book);
};

}  // namespace ventile
