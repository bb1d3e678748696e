#include <ventile/base/crc32c.hpp>

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

namespace ventile {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// Slicing by eight: M. Kounavis and F. Berry, "A systematic approach to building high performance software-based
// CRC generators", ISCC 2005.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    tables[0][byte] = crc;
  }
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::size_t slice = 1; slice < 8; ++slice)
      tables[slice][byte] = (tables[slice - 1][byte] >> 8) ^ tables[0][tables[slice - 1][byte] & 255];
  return tables;
}
constexpr Tables tables = make_tables();

using Function = std::uint32_t (*)(Bytes, std::uint32_t);

#if defined(__x86_64__)
// Three streams hide the instruction's latency of three cycles; their checksums are joined by shifting the earlier
// ones over `lane` zero bytes, which is linear: a table per byte of the checksum.
constexpr std::size_t lane = 1024;

constexpr std::uint32_t shift_over_lane(std::uint32_t crc) {
  for (std::size_t i = 0; i < lane; ++i) crc = (crc >> 8) ^ tables[0][crc & 255];
  return crc;
}
using ShiftTable = std::array<std::array<std::uint32_t, 256>, 4>;
ShiftTable make_shift_table() {
  ShiftTable shift{};
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::size_t place = 0; place < 4; ++place) shift[place][byte] = shift_over_lane(byte << (8 * place));
  return shift;
}
std::uint32_t shifted(const ShiftTable& shift, std::uint64_t crc) {
  return shift[0][crc & 255] ^ shift[1][(crc >> 8) & 255] ^ shift[2][(crc >> 16) & 255] ^ shift[3][(crc >> 24) & 255];
}
std::uint64_t load(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(Bytes bytes, std::uint32_t start) {
  static const ShiftTable shift = make_shift_table();
  std::uint64_t crc = ~start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  while (left >= 3 * lane) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < lane; i += 8) {
      crc = _mm_crc32_u64(crc, load(at + i));
      second = _mm_crc32_u64(second, load(at + lane + i));
      third = _mm_crc32_u64(third, load(at + 2 * lane + i));
    }
    crc = shifted(shift, shifted(shift, crc) ^ second) ^ third;
    at += 3 * lane;
    left -= 3 * lane;
  }
  for (; left >= 8; left -= 8, at += 8) crc = _mm_crc32_u64(crc, load(at));
  auto rest = static_cast<std::uint32_t>(crc);
  for (; left > 0; --left, ++at) rest = _mm_crc32_u8(rest, std::to_integer<unsigned char>(*at));
  return ~rest;
}

// Folding: V. Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ instruction", Intel 2009. A
// run of bytes may be replaced by its product with x^n modulo the polynomial, n being the number of bits behind it; so
// four registers of 64 bytes swallow the input 256 bytes at a time, and what they hold in the end has the same
// checksum.
constexpr std::size_t folded_min = 1024;
constexpr long long folding_constant(std::size_t bits) {
  std::uint32_t power = 0x80000000U;  // x^0, bit-reflected.
  for (std::size_t i = 0; i < bits; ++i) power = (power >> 1) ^ ((power & 1) != 0 ? 0x82f63b78U : 0U);
  return static_cast<long long>(std::uint64_t{power} << 1);
}
struct Folding {
  long long low, high;  // For the first eight bytes of sixteen, and the last.
};
constexpr Folding folding_over(std::size_t bits) { return {folding_constant(bits + 32), folding_constant(bits - 32)}; }

#define VENTILE_WIDE __attribute__((target("avx512f,vpclmulqdq,sse4.2")))
VENTILE_WIDE inline __m512i folded(__m512i sum, __m512i constants, __m512i next) {
  const __m512i low = _mm512_clmulepi64_epi128(sum, constants, 0x00);
  const __m512i high = _mm512_clmulepi64_epi128(sum, constants, 0x11);
  return _mm512_ternarylogic_epi64(low, high, next, 0x96);  // The exclusive or of all three.
}
VENTILE_WIDE inline __m512i repeated(Folding folding) {
  return _mm512_set_epi64(folding.high, folding.low, folding.high, folding.low, folding.high, folding.low, folding.high,
                          folding.low);
}
VENTILE_WIDE std::uint32_t crc32c_by_folding(Bytes bytes, std::uint32_t start) {
  if (bytes.size() < folded_min) return crc32c_by_instruction(bytes, start);
  constexpr std::size_t width = 64;
  static constexpr Folding by_four = folding_over(4 * 8 * width);
  static constexpr Folding by_one = folding_over(8 * width);
  const __m512i far = repeated(by_four);
  const __m512i near = repeated(by_one);
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  const __m512i before = _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(~start)));
  __m512i first = _mm512_xor_si512(_mm512_loadu_si512(at), before);
  __m512i second = _mm512_loadu_si512(at + width);
  __m512i third = _mm512_loadu_si512(at + 2 * width);
  __m512i fourth = _mm512_loadu_si512(at + 3 * width);
  for (at += 4 * width; static_cast<std::size_t>(end - at) >= 4 * width; at += 4 * width) {
    first = folded(first, far, _mm512_loadu_si512(at));
    second = folded(second, far, _mm512_loadu_si512(at + width));
    third = folded(third, far, _mm512_loadu_si512(at + 2 * width));
    fourth = folded(fourth, far, _mm512_loadu_si512(at + 3 * width));
  }
  __m512i sum = folded(folded(folded(first, near, second), near, third), near, fourth);
  for (; static_cast<std::size_t>(end - at) >= width; at += width) sum = folded(sum, near, _mm512_loadu_si512(at));
  std::array<std::byte, width> last{};
  _mm512_storeu_si512(last.data(), sum);
  const std::uint32_t crc = crc32c_by_instruction(last, ~0U);  // ~0: from nothing; ~ turns its end back.
  return crc32c_by_instruction({at, end}, crc);
}
#undef VENTILE_WIDE

Function choose() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("sse4.2")) return crc32c_by_table;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
  return wide ? crc32c_by_folding : crc32c_by_instruction;
}
#elif defined(__aarch64__)
__attribute__((target("+crc"))) std::uint32_t crc32c_by_instruction(Bytes bytes, std::uint32_t start) {
  std::uint32_t crc = ~start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    crc = __crc32cd(crc, word);
  }
  for (; left > 0; --left, ++at) crc = __crc32cb(crc, std::to_integer<unsigned char>(*at));
  return ~crc;
}
Function choose() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0 ? crc32c_by_instruction : crc32c_by_table; }
#else
Function choose() { return crc32c_by_table; }
#endif

}  // namespace

std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t start) {
  std::uint32_t crc = ~start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::array<std::uint8_t, 8> b{};
    std::memcpy(b.data(), at, b.size());
    crc = tables[7][b[0] ^ (crc & 255)] ^ tables[6][b[1] ^ ((crc >> 8) & 255)] ^ tables[5][b[2] ^ ((crc >> 16) & 255)] ^
          tables[4][b[3] ^ (crc >> 24)] ^ tables[3][b[4]] ^ tables[2][b[5]] ^ tables[1][b[6]] ^ tables[0][b[7]];
  }
  for (; left > 0; --left, ++at) crc = (crc >> 8) ^ tables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 255];
  return ~crc;
}

namespace {

// Modulo the polynomial, bit-reflected: the highest bit is x^0.
constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (; a != 0; a <<= 1) {
    if ((a & 0x80000000U) != 0) sum ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return sum;
}
// x^(8 n) for n = 1, 2, 4, …
constexpr std::array<std::uint32_t, 64> make_powers() {
  std::array<std::uint32_t, 64> powers{};
  powers[0] = 0x00800000U;
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = product(powers[i - 1], powers[i - 1]);
  return powers;
}
constexpr std::array powers = make_powers();

}  // namespace

std::uint32_t Crc32cJoin::operator()(std::uint32_t first, std::uint32_t second, std::uint64_t second_size) {
  if (second_size != size_) {
    size_ = second_size;
    factor_ = 0x80000000U;
    for (std::size_t i = 0; second_size >> i != 0; ++i)
      if (((second_size >> i) & 1) != 0) factor_ = product(factor_, powers[i]);
  }
  return product(first, factor_) ^ second;
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t crc) {
  static const Function function = choose();
  return function(bytes, crc);
}

}  // namespace ventile
