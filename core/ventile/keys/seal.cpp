#include <ventile/keys/seal.hpp>

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace ventile {
namespace {

constexpr std::size_t key_size = 32;
constexpr std::size_t numbers_size = 6 * sizeof(std::uint64_t);
constexpr std::size_t worker_size_max = 64;

// Keeps these uses of BLAKE2b apart from each other and from everybody else's.
using Purpose = std::array<unsigned char, crypto_generichash_blake2b_PERSONALBYTES>;
constexpr Purpose purpose_of_key{'v', 'e', 'n', 't', 'i', 'l', 'e', ' ', 's', 'e', 'a', 'l', 'k', 'e', 'y', '1'};
constexpr Purpose purpose_of_seal{'v', 'e', 'n', 't', 'i', 'l', 'e', ' ', 'l', 'e', 'a', 's', 'e', ' ', '1'};

const unsigned char* unsigned_of(const char* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }

void append(unsigned char*& at, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) *at++ = static_cast<unsigned char>(number >> (8 * i));
}

std::uint64_t number_at(const unsigned char* at) {
  std::uint64_t number = 0;
  for (int i = 8; i-- > 0;) number = number << 8 | at[i];
  return number;
}

}  // namespace

Sealer::Sealer(std::span<const char> secret) : key_(key_size) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be used");
  crypto_generichash_blake2b_salt_personal(reinterpret_cast<unsigned char*>(key_.bytes().data()), key_size,
                                           unsigned_of(secret.data()), secret.size(), nullptr, 0, nullptr,
                                           purpose_of_key.data());
}

SealCode Sealer::seal(const SealedLease& lease) const {
  unsigned char text[numbers_size + worker_size_max];
  unsigned char* at = text;
  for (const std::uint64_t number : {lease.job.high, lease.job.low, lease.lease.dispatcher.value, lease.lease.counter,
                                     lease.range.first, lease.range.count})
    append(at, number);
  const std::string_view worker = lease.worker.substr(0, worker_size_max);
  at = std::copy(worker.begin(), worker.end(), at);
  unsigned char code[2 * sizeof(std::uint64_t)];
  crypto_generichash_blake2b_salt_personal(code, sizeof code, text, static_cast<std::size_t>(at - text),
                                           unsigned_of(key_.bytes().data()), key_size, nullptr, purpose_of_seal.data());
  return {number_at(code), number_at(code + sizeof(std::uint64_t))};
}

}  // namespace ventile
