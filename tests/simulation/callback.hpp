// What is to be done later, whatever it holds: std::function copies, and takes memory for almost every event.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace ventile::simulation {

// A function without arguments that is moved and never copied. It lives in place up to `room` bytes and else in memory
// of its own. An empty one must not be called.
class Callback {
public:
  Callback() = default;
  template <class Function>
  requires(!std::is_same_v<std::remove_cvref_t<Function>, Callback> && std::is_invocable_v<Function&>)
      Callback(Function&& function) {  // NOLINT(google-explicit-constructor,bugprone-forwarding-reference-overload)
    using Held = std::remove_cvref_t<Function>;
    if constexpr (fits<Held>) {
      ::new (static_cast<void*>(place_)) Held(std::forward<Function>(function));
      how_ = &in_place<Held>;
    } else {
      ::new (static_cast<void*>(place_)) Held*(new Held(std::forward<Function>(function)));
      how_ = &elsewhere<Held>;
    }
  }
  Callback(Callback&& other) noexcept : how_(std::exchange(other.how_, nullptr)) {
    if (how_ != nullptr) how_->move(other.place_, place_);
  }
  Callback& operator=(Callback&& other) noexcept {
    if (this == &other) return *this;
    reset();
    how_ = std::exchange(other.how_, nullptr);
    if (how_ != nullptr) how_->move(other.place_, place_);
    return *this;
  }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback() { reset(); }

  void operator()() { how_->call(place_); }

private:
  struct How {
    void (*call)(std::byte*);
    void (*move)(std::byte* from, std::byte* to);  // Ends what was in `from`.
    void (*end)(std::byte*);
  };

  static constexpr std::size_t room = 96;
  template <class Held>
  static constexpr bool fits = sizeof(Held) <= room &&
                               alignof(Held) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<Held>;

  template <class Held>
  static Held& held(std::byte* place) {
    return *std::launder(reinterpret_cast<Held*>(place));
  }
  template <class Held>
  static constexpr How in_place{[](std::byte* place) { held<Held>(place)(); },
                                [](std::byte* from, std::byte* to) {
                                  ::new (static_cast<void*>(to)) Held(std::move(held<Held>(from)));
                                  held<Held>(from).~Held();
                                },
                                [](std::byte* place) { held<Held>(place).~Held(); }};
  template <class Held>
  static constexpr How elsewhere{
      [](std::byte* place) { (*held<Held*>(place))(); },
      [](std::byte* from, std::byte* to) { ::new (static_cast<void*>(to)) Held*(held<Held*>(from)); },
      [](std::byte* place) { delete held<Held*>(place); }};

  const How* how_ = nullptr;
  alignas(std::max_align_t) std::byte place_[room];

  void reset() {
    if (how_ != nullptr) std::exchange(how_, nullptr)->end(place_);
  }
};

}  // namespace ventile::simulation
