// Which arguments fit a task, said at compile time and in words; and how they are packed.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

#include <ventile/task/function.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile::detail {

template <class P>
using Value = std::remove_cvref_t<P>;

template <class A, class P>
concept FitsParameter = std::convertible_to<A, Value<P>>;

// A range whose elements fit the parameter, and that does not fit it itself.
template <class A, class P>
concept FeedsParameter = !FitsParameter<A, P> && std::ranges::input_range<A> &&
                         std::convertible_to<std::ranges::range_reference_t<A>, Value<P>>;

template <class P, class A>
consteval bool check_argument() {
  static_assert(FitsParameter<A, P>,
                "Ventile: an argument does not convert to the task's parameter; compare the argument's type with the "
                "one in Task<R(Parameters...)> above.");
  static_assert(Packable<Value<P>>,
                "Ventile: a parameter of this task cannot be packed; give its type fields() or specialise "
                "ventile::Convert.");
  return FitsParameter<A, P> && Packable<Value<P>>;
}

template <class P, class A>
consteval bool check_source() {
  static_assert(FitsParameter<A, P> || FeedsParameter<A, P>,
                "Ventile: an argument of map is neither a value for the task's parameter nor a range of such values; "
                "compare the argument's type with the one in Task<R(Parameters...)> above.");
  static_assert(Packable<Value<P>>,
                "Ventile: a parameter of this task cannot be packed; give its type fields() or specialise "
                "ventile::Convert.");
  return (FitsParameter<A, P> || FeedsParameter<A, P>)&&Packable<Value<P>>;
}

template <std::size_t parameters, std::size_t arguments>
consteval bool check_count() {
  static_assert(parameters == arguments,
                "Ventile: the task takes another number of arguments than were given; see Task<R(Parameters...)> "
                "above.");
  return parameters == arguments;
}

// As the parameter's own type, so that it is read back as what the task expects.
template <class P, class A>
void pack_argument(Packer& packer, A&& argument) {
  if constexpr (std::same_as<std::remove_cvref_t<A>, Value<P>>) {
    pack_value<Value<P>>(packer, argument);
  } else {
    const Value<P> value = static_cast<Value<P>>(std::forward<A>(argument));
    pack_value<Value<P>>(packer, value);
  }
}

// One of a map's arguments: the same value for every task, ...
template <class P>
class Constant {
public:
  template <class A>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): its copies are of what it is made from, never of itself.
  explicit Constant(A&& argument) : value_(static_cast<Value<P>>(std::forward<A>(argument))) {}
  static constexpr bool is_range = false;
  bool at_end() const { return false; }
  void pack(Packer& packer) const { pack_value<Value<P>>(packer, value_); }
  void advance() {}

private:
  Value<P> value_;
};

// ... or a range with one value for each.
template <class P, class View>
class Source {
public:
  template <class A>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): it is never copied.
  explicit Source(A&& argument) : view_(std::views::all(std::forward<A>(argument))), at_(std::ranges::begin(view_)) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  static constexpr bool is_range = true;
  bool at_end() { return at_ == std::ranges::end(view_); }
  void pack(Packer& packer) { pack_argument<P>(packer, *at_); }
  void advance() { ++at_; }

private:
  View view_;
  std::ranges::iterator_t<View> at_;
};

template <class P, class A>
struct FeederOf {
  using type = Constant<P>;
};
template <class P, class A>
requires FeedsParameter<A, P>
struct FeederOf<P, A> {
  using type = Source<P, std::views::all_t<A>>;
};

// All arguments of a map, walked together to the end of the shortest range.
template <class... Feeders>
class Arguments {
public:
  static constexpr bool has_range = (Feeders::is_range || ...);

  template <class... A>
  explicit Arguments(A&&... arguments) : feeders_(std::forward<A>(arguments)...) {}

  bool fill(PayloadWriter& payloads, std::uint32_t count_max) {
    return std::apply([&](auto&... feeder) { return fill_from(payloads, count_max, feeder...); }, feeders_);
  }

private:
  std::tuple<Feeders...> feeders_;

  static bool fill_from(PayloadWriter& payloads, std::uint32_t count_max, Feeders&... feeder) {
    Packer packer{payloads.buffer()};
    constexpr std::size_t bytes_max = 256 * 1024;
    while (payloads.count() < count_max && payloads.size() < bytes_max) {
      if ((feeder.at_end() || ...)) return false;
      (feeder.pack(packer), ...);
      payloads.end_payload();
      (feeder.advance(), ...);
    }
    return true;
  }
};

}  // namespace ventile::detail
