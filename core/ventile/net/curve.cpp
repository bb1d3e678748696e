#include <ventile/net/curve.hpp>

#include <sodium.h>
#include <zmq.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

namespace ventile {

namespace {

// Within a pair's memory: the secret as text with its final zero, then as bytes.
constexpr std::size_t raw_at = 64;
constexpr std::size_t raw_size = 32;

}  // namespace

bool is_curve_key(std::string_view text) {
  std::uint8_t raw[raw_size];
  if (text.size() != curve_key_size || text.find('\0') != std::string_view::npos) return false;
  return zmq_z85_decode(raw, std::string(text).c_str()) != nullptr;
}

KeyPair::KeyPair() : memory_(raw_at + raw_size) {}

std::shared_ptr<const KeyPair> KeyPair::make() {
  std::shared_ptr<KeyPair> pair(new KeyPair);
  char public_key[curve_key_size + 1];
  if (zmq_curve_keypair(public_key, pair->memory_.bytes().data()) != 0 || !pair->derive())
    throw std::runtime_error(std::string("libzmq cannot make keys: ") + zmq_strerror(errno));
  return pair;
}

Result<std::shared_ptr<const KeyPair>> KeyPair::of_secret(std::string_view secret) {
  std::shared_ptr<KeyPair> pair(new KeyPair);
  const bool fits = secret.size() == curve_key_size && secret.find('\0') == std::string_view::npos;
  if (fits) std::copy(secret.begin(), secret.end(), pair->memory_.bytes().begin());
  if (!fits || !pair->derive()) return Error{Code::invalid, "this is no secret key: expected 40 characters of Z85"};
  return std::shared_ptr<const KeyPair>(std::move(pair));
}

bool KeyPair::derive() {
  char* const text = memory_.bytes().data();
  auto* const raw = reinterpret_cast<std::uint8_t*>(text + raw_at);
  if (zmq_z85_decode(raw, text) == nullptr) return false;
  char public_key[curve_key_size + 1] = {};
  if (zmq_curve_public(public_key, text) != 0) return false;
  public_key_ = public_key;
  return true;
}

bool KeyPair::agree(std::string_view public_key, std::span<char, agreed_size> secret) const {
  static_assert(agreed_size == crypto_scalarmult_BYTES && raw_size == crypto_scalarmult_SCALARBYTES);
  std::uint8_t other[raw_size];
  if (!is_curve_key(public_key) || zmq_z85_decode(other, std::string(public_key).c_str()) == nullptr) return false;
  return crypto_scalarmult(reinterpret_cast<unsigned char*>(secret.data()),
                           reinterpret_cast<const unsigned char*>(raw_secret()), other) == 0;
}

const char* KeyPair::raw_secret() const { return memory_.bytes().data() + raw_at; }

}  // namespace ventile
