// Keys by which sockets know each other: CurveZMQ, as libzmq has it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <ventile/base/result.hpp>
#include <ventile/net/secret_memory.hpp>

namespace ventile {

// Keys are written in Z85: this many printable characters, none of them a blank.
inline constexpr std::size_t curve_key_size = 40;

// True of text that is a key as far as its form goes.
bool is_curve_key(std::string_view text);

// A secret key and the public key that belongs to it. Neither copies nor moves; shared by the sockets that use it.
// Nothing prints the secret.
class KeyPair {
public:
  // A new one.
  static std::shared_ptr<const KeyPair> make();
  // Code::invalid if `secret` is no key; the message does not repeat it.
  static Result<std::shared_ptr<const KeyPair>> of_secret(std::string_view secret);

  const std::string& public_key() const { return public_key_; }
  // Points into memory that is wiped with this object: write it where it must go, and nowhere else.
  std::string_view secret_key() const { return {memory_.bytes().data(), curve_key_size}; }

  static constexpr std::size_t agreed_size = 32;
  // Writes the secret that only this pair and the owner of that public key can know (X25519); the other side gets the
  // same with the roles exchanged. Derive keys from it, it is none itself. False if that is no public key.
  bool agree(std::string_view public_key, std::span<char, agreed_size> secret) const;

  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;

private:
  friend class Socket;
  KeyPair();
  bool derive();                   // The other forms of the secret's text in memory_; false if it is no key.
  const char* raw_secret() const;  // 32 bytes.

  SecretMemory memory_;
  std::string public_key_;
};

// Says which keys may come in. Asked by the gatekeeper of the context on a thread of its own.
class Admission {
public:
  Admission() = default;
  virtual ~Admission() = default;
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  virtual bool admits(std::string_view public_key) const = 0;
  // Looks whether the list has changed: called a few times a second, and before somebody is refused. May block;
  // meanwhile nobody comes in.
  virtual void refresh() {}
};

// How a socket proves who it is, and to whom it talks.
struct Curve {
  std::shared_ptr<const KeyPair> own;    // Null: no keys. Everything travels in the clear, whoever connects is let in.
  std::string server_key;                // To connect: the public key that the other side must have.
  std::shared_ptr<Admission> admission;  // To bind: who may come in.
  // To bind, at each tcp address: so many connections may wait to be let in; then the oldest of them is closed for
  // another. One that sends more than a handshake has is closed, too. A burst may exceed this for some milliseconds.
  // This needs somebody to read the socket's Monitor.
  std::size_t strangers_max = 16;

  explicit operator bool() const { return own != nullptr; }
};

}  // namespace ventile
