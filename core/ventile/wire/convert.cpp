#include <ventile/wire/convert.hpp>

namespace ventile::detail {

bool fail_text(Unpacker& unpacker, std::string_view why, std::size_t at) {
  return unpacker.fail(std::string{why} + " at byte " + std::to_string(at));
}

bool fail_range(Unpacker& unpacker, std::int64_t least, std::uint64_t most, std::size_t at) {
  return fail_text(unpacker, "expected an integer from " + std::to_string(least) + " to " + std::to_string(most), at);
}

bool fail_count(Unpacker& unpacker, std::size_t expected, std::uint32_t found, std::size_t at) {
  return fail_text(unpacker,
                   "expected array of " + std::to_string(expected) + ", found one of " + std::to_string(found), at);
}

}  // namespace ventile::detail
