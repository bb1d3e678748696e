// Typed values to msgpack and back: `pack_value(packer, value)` and `unpack_value(unpacker, value)`.
//
//   bool, integers, float, double        themselves; an integer that does not fit the type fails
//   std::string, std::string_view        string; a view points into the bytes that were read
//   Bytes, Buffer, std::vector<std::byte> binary; Bytes point into the bytes that were read
//   enums                                their underlying integer, unchecked
//   std::optional<T>, std::monostate     nil or T; nil
//   vector, deque, set, unordered_set    array
//   std::array, std::pair, std::tuple    array of exactly that many values
//   map, unordered_map                   map; of equal keys the last counts
//   std::variant                         array [index, value]
//   std::chrono::duration                its count
//   Id, WideId, LeaseId, Range           integer; [high, low]; [dispatcher, counter]; [first, count]
//   IntervalSet                          array of its ranges
//   structs with fields()                array of exactly as many values as there are fields
//
// A struct names its fields in a static function, or in a member that is const (to be packed), not const (to be read)
// or there as both:
//
//   static auto fields(auto& self) { return std::tie(self.width, self.height); }
//   auto fields() { return std::tie(width, height); }
//
// For any other type specialise ventile::Convert. What is read is default-constructed first. Reading never reserves
// more memory than the bytes left justify; after a failure the value is valid but half read.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/result.hpp>
#include <ventile/base/text.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {

// How T is packed. Specialise it with either or both of
//   static void pack(Packer& packer, const T& value);
//   static bool unpack(Unpacker& unpacker, T& value);  // False only after unpacker has failed.
template <class T>
struct Convert {};

template <class T>
concept Packable = requires(Packer& packer, const T& value) {
  Convert<T>::pack(packer, value);
};
template <class T>
concept Unpackable = std::default_initializable<T> && requires(Unpacker& unpacker, T& value) {
  { Convert<T>::unpack(unpacker, value) } -> std::same_as<bool>;
};

template <class T>
void pack_value(Packer& packer, const T& value) {
  static_assert(Packable<T>, "Ventile cannot pack this type: give it fields() or specialise ventile::Convert");
  if constexpr (Packable<T>) Convert<T>::pack(packer, value);
}

// False after the first failure, which unpacker.error() tells.
template <class T>
bool unpack_value(Unpacker& unpacker, T& value) {
  static_assert(Unpackable<T>, "Ventile cannot unpack this type: give it fields() or specialise ventile::Convert");
  if constexpr (Unpackable<T>) return Convert<T>::unpack(unpacker, value);
  return false;
}

// The values, back to back.
template <class... T>
Buffer pack_to_buffer(const T&... values) {
  Buffer out;
  Packer packer{out};
  (pack_value(packer, values), ...);
  return out;
}

// The one value that `bytes` hold; bytes after it are an error.
template <class T>
Result<T> unpack_from(Bytes bytes) {
  Unpacker unpacker{bytes};
  T value{};
  if (unpack_value(unpacker, value) && !unpacker.at_end()) {
    unpacker.fail(std::to_string(unpacker.left()) + " bytes too many at byte " + std::to_string(unpacker.offset()));
  }
  if (!unpacker.ok()) return unpacker.error();
  return value;
}

namespace detail {

inline std::uint32_t packed_count(std::size_t count) {
  if (count > std::numeric_limits<std::uint32_t>::max())
    throw std::length_error("more than 4 G values in one msgpack array");
  return static_cast<std::uint32_t>(count);
}

// Out of line, for the hot path is the one that does not fail. Each returns false.
bool fail_range(Unpacker& unpacker, std::int64_t least, std::uint64_t most, std::size_t at);
bool fail_count(Unpacker& unpacker, std::size_t expected, std::uint32_t found, std::size_t at);
bool fail_text(Unpacker& unpacker, std::string_view why, std::size_t at);

// What a new std::string of so many characters takes beside itself.
inline std::size_t memory_of_string(std::size_t size) {
  constexpr std::size_t in_place = 15;
  return size <= in_place ? 0 : std::max(size, 2 * in_place) + 1;
}

// Opens an array of exactly `expected` values; the caller ends with unpacker.leave().
inline bool enter_array(Unpacker& unpacker, std::uint32_t expected) {
  const std::size_t at = unpacker.offset();
  std::uint32_t count = 0;
  if (!unpacker.read_array(count)) return false;
  return (count == expected || fail_count(unpacker, expected, count, at)) && unpacker.enter();
}

template <class... T>
void pack_fields(Packer& packer, const T&... values) {
  packer.pack_array(sizeof...(T));
  (pack_value(packer, values), ...);
}

template <class... T>
bool unpack_fields(Unpacker& unpacker, T&... values) {
  if (!enter_array(unpacker, sizeof...(T)) || !(unpack_value(unpacker, values) && ...)) return false;
  unpacker.leave();
  return true;
}

template <class Values>
void pack_sequence(Packer& packer, const Values& values) {
  packer.pack_array(packed_count(values.size()));
  for (const auto& value : values) pack_value<typename Values::value_type>(packer, value);
}

// Calls `read_one` for each value of an array or for each pair of a map.
template <class ReadOne>
bool unpack_each(Unpacker& unpacker, std::uint32_t count, ReadOne read_one) {
  if (!unpacker.enter()) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!read_one()) return false;
  }
  unpacker.leave();
  return true;
}

template <class Values>
bool unpack_sequence(Unpacker& unpacker, Values& values) {
  values.clear();
  std::uint32_t count = 0;
  if (!unpacker.read_array(count)) return false;
  using Value = typename Values::value_type;
  if constexpr (requires {
                  values.reserve(0);
                  values.push_back(std::declval<Value>());
                }) {
    if (unpacker.limited()) {
      if (!unpacker.claim(std::uint64_t{count} * sizeof(Value))) return false;
      values.reserve(count);
    } else {
      values.reserve(std::min<std::size_t>(count, unpacker.left() / sizeof(Value)));
    }
  }
  return unpack_each(unpacker, count, [&] {
    Value value{};
    if (!unpack_value(unpacker, value)) return false;
    values.insert(values.end(), std::move(value));
    return true;
  });
}

template <class Map>
void pack_pairs(Packer& packer, const Map& map) {
  packer.pack_map(packed_count(map.size()));
  for (const auto& [key, value] : map) {
    pack_value(packer, key);
    pack_value(packer, value);
  }
}

template <class Map>
bool unpack_pairs(Unpacker& unpacker, Map& map) {
  map.clear();
  std::uint32_t count = 0;
  if (!unpacker.read_map(count)) return false;
  return unpack_each(unpacker, count, [&] {
    typename Map::key_type key{};
    return unpack_value(unpacker, key) && unpack_value(unpacker, map[std::move(key)]);
  });
}

// The tuple of references that a struct gives; T may be const.
template <class T>
auto fields_of(T& value) {
  if constexpr (requires { std::remove_const_t<T>::fields(value); }) {
    return std::remove_const_t<T>::fields(value);
  } else {
    return value.fields();
  }
}

template <class T>
concept HasFields = std::is_class_v<T> &&(
    requires(T& value) { std::remove_const_t<T>::fields(value); } || requires(T & value) { value.fields(); });

template <class Fields>
inline constexpr bool are_writable = false;
template <class... Field>
inline constexpr bool are_writable<std::tuple<Field&...>> = (!std::is_const_v<Field> && ...);

}  // namespace detail

template <>
struct Convert<bool> {
  static void pack(Packer& packer, bool value) { packer.pack(value); }
  static bool unpack(Unpacker& unpacker, bool& value) { return unpacker.read(value); }
};

template <std::signed_integral T>
struct Convert<T> {
  static void pack(Packer& packer, T value) { packer.pack_signed(value); }
  static bool unpack(Unpacker& unpacker, T& value) {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() >> (63 - std::numeric_limits<T>::digits);
    constexpr std::int64_t least = -most - 1;
    const std::size_t at = unpacker.offset();
    std::int64_t read = 0;
    if (!unpacker.read_signed(read)) return false;
    if (read < least || read > most) return detail::fail_range(unpacker, least, most, at);
    value = static_cast<T>(read);
    return true;
  }
};

template <std::unsigned_integral T>
struct Convert<T> {
  static void pack(Packer& packer, T value) { packer.pack_unsigned(value); }
  static bool unpack(Unpacker& unpacker, T& value) {
    const std::size_t at = unpacker.offset();
    std::uint64_t read = 0;
    if (!unpacker.read_unsigned(read)) return false;
    if (read > std::numeric_limits<T>::max()) return detail::fail_range(unpacker, 0, std::numeric_limits<T>::max(), at);
    value = static_cast<T>(read);
    return true;
  }
};

template <>
struct Convert<double> {
  static void pack(Packer& packer, double value) { packer.pack(value); }
  static bool unpack(Unpacker& unpacker, double& value) { return unpacker.read(value); }
};

template <>
struct Convert<float> {
  static void pack(Packer& packer, float value) { packer.pack(value); }
  static bool unpack(Unpacker& unpacker, float& value) {
    double read = 0;
    if (!unpacker.read(read)) return false;
    value = static_cast<float>(read);
    return true;
  }
};

template <>
struct Convert<std::string_view> {
  static void pack(Packer& packer, std::string_view value) { packer.pack_string(value); }
  static bool unpack(Unpacker& unpacker, std::string_view& value) { return unpacker.read_string(value); }
};

template <>
struct Convert<std::string> {
  static void pack(Packer& packer, const std::string& value) { packer.pack_string(value); }
  static bool unpack(Unpacker& unpacker, std::string& value) {
    std::string_view read;
    if (!unpacker.read_string(read) || !unpacker.claim(detail::memory_of_string(read.size()))) return false;
    value = read;
    return true;
  }
};

template <>
struct Convert<Text> {
  static void pack(Packer& packer, const Text& value) { packer.pack_string(value); }
  static bool unpack(Unpacker& unpacker, Text& value) {
    std::string_view read;
    if (!unpacker.read_string(read) || !unpacker.claim(read.size())) return false;
    value = read;
    return true;
  }
};

// Literals can be packed, and are read back as strings.
template <>
struct Convert<const char*> {
  static void pack(Packer& packer, const char* value) { packer.pack_string(value); }
};
template <std::size_t size>
struct Convert<char[size]> {
  static void pack(Packer& packer, const char* value) { packer.pack_string(value); }
};

template <>
struct Convert<Bytes> {
  static void pack(Packer& packer, Bytes value) { packer.pack_binary(value); }
  static bool unpack(Unpacker& unpacker, Bytes& value) { return unpacker.read_binary(value); }
};

template <>
struct Convert<Buffer> {
  static void pack(Packer& packer, const Buffer& value) { packer.pack_binary(value); }
  static bool unpack(Unpacker& unpacker, Buffer& value) {
    Bytes read;
    if (!unpacker.read_binary(read)) return false;
    value.clear();
    value.append(read);
    return true;
  }
};

template <>
struct Convert<std::vector<std::byte>> {
  static void pack(Packer& packer, const std::vector<std::byte>& value) { packer.pack_binary(value); }
  static bool unpack(Unpacker& unpacker, std::vector<std::byte>& value) {
    Bytes read;
    if (!unpacker.read_binary(read) || !unpacker.claim(read.size())) return false;
    value.assign(read.begin(), read.end());
    return true;
  }
};

template <class T>
requires std::is_enum_v<T>
struct Convert<T> {
  using Integer = std::underlying_type_t<T>;
  static void pack(Packer& packer, T value) { pack_value(packer, static_cast<Integer>(value)); }
  static bool unpack(Unpacker& unpacker, T& value) {
    Integer read{};
    if (!unpack_value(unpacker, read)) return false;
    value = static_cast<T>(read);
    return true;
  }
};

template <>
struct Convert<std::monostate> {
  static void pack(Packer& packer, std::monostate) { packer.pack_nil(); }
  static bool unpack(Unpacker& unpacker, std::monostate&) { return unpacker.read_nil(); }
};

template <class T>
struct Convert<std::optional<T>> {
  static void pack(Packer& packer, const std::optional<T>& value) requires Packable<T> {
    value ? pack_value(packer, *value) : packer.pack_nil();
  }
  static bool unpack(Unpacker& unpacker, std::optional<T>& value) requires Unpackable<T> {
    PackKind kind;
    if (!unpacker.peek(kind)) return false;
    if (kind != PackKind::nil) return unpack_value(unpacker, value.emplace());
    value.reset();
    return unpacker.read_nil();
  }
};

template <class Rep, class Period>
struct Convert<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  static void pack(Packer& packer, Duration value) { pack_value(packer, value.count()); }
  static bool unpack(Unpacker& unpacker, Duration& value) {
    Rep count{};
    if (!unpack_value(unpacker, count)) return false;
    value = Duration{count};
    return true;
  }
};

// What vector, deque, set and unordered_set have in common.
template <class Values>
struct ConvertSequence {
  static void pack(Packer& packer, const Values& values) requires Packable<typename Values::value_type> {
    detail::pack_sequence(packer, values);
  }
  static bool unpack(Unpacker& unpacker, Values& values) requires Unpackable<typename Values::value_type> {
    return detail::unpack_sequence(unpacker, values);
  }
};
template <class... T>
struct Convert<std::vector<T...>> : ConvertSequence<std::vector<T...>> {};
template <class... T>
struct Convert<std::deque<T...>> : ConvertSequence<std::deque<T...>> {};
template <class... T>
struct Convert<std::set<T...>> : ConvertSequence<std::set<T...>> {};
template <class... T>
struct Convert<std::unordered_set<T...>> : ConvertSequence<std::unordered_set<T...>> {};

template <class Map>
struct ConvertMap {
  static void pack(Packer& packer,
                   const Map& map) requires Packable<typename Map::key_type> && Packable<typename Map::mapped_type> {
    detail::pack_pairs(packer, map);
  }
  static bool unpack(Unpacker& unpacker,
                     Map& map) requires Unpackable<typename Map::key_type> && Unpackable<typename Map::mapped_type> {
    return detail::unpack_pairs(unpacker, map);
  }
};
template <class... T>
struct Convert<std::map<T...>> : ConvertMap<std::map<T...>> {};
template <class... T>
struct Convert<std::unordered_map<T...>> : ConvertMap<std::unordered_map<T...>> {};

template <class T, std::size_t count>
struct Convert<std::array<T, count>> {
  static void pack(Packer& packer, const std::array<T, count>& values) requires Packable<T> {
    detail::pack_sequence(packer, values);
  }
  static bool unpack(Unpacker& unpacker, std::array<T, count>& values) requires Unpackable<T> {
    if (!detail::enter_array(unpacker, count)) return false;
    for (T& value : values) {
      if (!unpack_value(unpacker, value)) return false;
    }
    unpacker.leave();
    return true;
  }
};

template <class... T>
struct Convert<std::tuple<T...>> {
  static void pack(Packer& packer, const std::tuple<T...>& values) requires(Packable<T>&&...) {
    std::apply([&](const T&... value) { detail::pack_fields(packer, value...); }, values);
  }
  static bool unpack(Unpacker& unpacker, std::tuple<T...>& values) requires(Unpackable<T>&&...) {
    return std::apply([&](T&... value) { return detail::unpack_fields(unpacker, value...); }, values);
  }
};

template <class First, class Second>
struct Convert<std::pair<First, Second>> {
  static void pack(Packer& packer, const std::pair<First, Second>& value) requires Packable<First> && Packable<Second> {
    detail::pack_fields(packer, value.first, value.second);
  }
  static bool unpack(Unpacker& unpacker,
                     std::pair<First, Second>& value) requires Unpackable<First> && Unpackable<Second> {
    return detail::unpack_fields(unpacker, value.first, value.second);
  }
};

template <class... T>
struct Convert<std::variant<T...>> {
  static void pack(Packer& packer, const std::variant<T...>& value) requires(Packable<T>&&...) {
    packer.pack_array(2);
    packer.pack_unsigned(value.index());
    std::visit([&](const auto& alternative) { pack_value(packer, alternative); }, value);
  }
  static bool unpack(Unpacker& unpacker, std::variant<T...>& value) requires(Unpackable<T>&&...) {
    if (!detail::enter_array(unpacker, 2)) return false;
    const std::size_t at = unpacker.offset();
    std::uint64_t index = 0;
    if (!unpacker.read_unsigned(index)) return false;
    if (index >= sizeof...(T)) return detail::fail_range(unpacker, 0, sizeof...(T) - 1, at);
    if (!unpack_alternative(unpacker, value, index, std::index_sequence_for<T...>{})) return false;
    unpacker.leave();
    return true;
  }

private:
  template <std::size_t... i>
  static bool unpack_alternative(Unpacker& unpacker, std::variant<T...>& value, std::uint64_t index,
                                 std::index_sequence<i...>) {
    return ((i == index && unpack_value(unpacker, value.template emplace<i>())) || ...);
  }
};

template <detail::HasFields T>
struct Convert<T> {
  static void pack(Packer& packer, const T& value) requires detail::HasFields<const T> {
    std::apply([&](const auto&... field) { detail::pack_fields(packer, field...); }, detail::fields_of(value));
  }
  static bool unpack(Unpacker& unpacker, T& value) requires detail::are_writable<decltype(detail::fields_of(value))> {
    return std::apply([&](auto&... field) { return detail::unpack_fields(unpacker, field...); },
                      detail::fields_of(value));
  }
};

template <class Tag>
struct Convert<Id<Tag>> {
  static void pack(Packer& packer, Id<Tag> id) { packer.pack_unsigned(id.value); }
  static bool unpack(Unpacker& unpacker, Id<Tag>& id) { return unpacker.read_unsigned(id.value); }
};

template <class Tag>
struct Convert<WideId<Tag>> {
  static void pack(Packer& packer, WideId<Tag> id) { detail::pack_fields(packer, id.high, id.low); }
  static bool unpack(Unpacker& unpacker, WideId<Tag>& id) { return detail::unpack_fields(unpacker, id.high, id.low); }
};

template <>
struct Convert<LeaseId> {
  static void pack(Packer& packer, LeaseId id) { detail::pack_fields(packer, id.dispatcher, id.counter); }
  static bool unpack(Unpacker& unpacker, LeaseId& id) {
    return detail::unpack_fields(unpacker, id.dispatcher, id.counter);
  }
};

template <>
struct Convert<Range> {
  static void pack(Packer& packer, Range range) { detail::pack_fields(packer, range.first, range.count); }
  static bool unpack(Unpacker& unpacker, Range& range) {
    const std::size_t at = unpacker.offset();
    if (!detail::unpack_fields(unpacker, range.first, range.count)) return false;
    if (range.count <= std::numeric_limits<Number>::max() - range.first) return true;
    return detail::fail_text(unpacker, "expected a range that ends within 64 bits", at);
  }
};

template <>
struct Convert<IntervalSet> {
  static void pack(Packer& packer, const IntervalSet& set) { pack_value(packer, set.ranges()); }
  static bool unpack(Unpacker& unpacker, IntervalSet& set) {
    std::vector<Range> ranges;
    if (!unpack_value(unpacker, ranges)) return false;
    set.clear();
    for (const Range range : ranges) set.insert(range);
    return true;
  }
};

}  // namespace ventile
