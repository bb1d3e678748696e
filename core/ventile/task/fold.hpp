// Folds (reducers): combine results where the work is, so that a batch of a thousand results travels as one value.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {

// A number of whatever arithmetic type, in one of two forms: an integer as long as it fits, else a real.
class Scalar {
public:
  constexpr Scalar() = default;
  template <class T>
  requires std::is_arithmetic_v<T>
  constexpr explicit Scalar(T value) {
    if constexpr (std::is_floating_point_v<T>) {
      become_real(static_cast<double>(value));
    } else if (std::in_range<std::int64_t>(+value)) {
      integer_ = static_cast<std::int64_t>(value);
    } else {
      become_real(static_cast<double>(value));
    }
  }

  constexpr bool is_integer() const { return !is_real_; }
  constexpr std::int64_t integer() const { return integer_; }  // Only if is_integer().
  constexpr double real() const { return is_real_ ? real_ : static_cast<double>(integer_); }

  // A real if the sum of two integers overflows.
  constexpr Scalar operator+(Scalar other) const {
    std::int64_t sum = 0;
    if (is_real_ || other.is_real_ || __builtin_add_overflow(integer_, other.integer_, &sum))
      return Scalar{real() + other.real()};
    return Scalar{sum};
  }
  constexpr bool operator<(Scalar other) const {
    return is_real_ || other.is_real_ ? real() < other.real() : integer_ < other.integer_;
  }
  constexpr bool operator==(const Scalar&) const = default;

private:
  std::int64_t integer_ = 0;
  double real_ = 0;
  bool is_real_ = false;

  constexpr void become_real(double value) {
    real_ = value;
    is_real_ = true;
  }
};

template <>
struct Convert<Scalar> {
  static void pack(Packer& packer, const Scalar& value);
  static bool unpack(Unpacker& unpacker, Scalar& value);
};

// One fold in progress. Used by one thread at a time.
class FoldAccumulator {
public:
  virtual ~FoldAccumulator() = default;

  // Adds one task's result. The first two are short cuts that avoid packing: they return false, and have done
  // nothing, if the value is not of a type that this fold takes directly. `value` may be moved from.
  virtual bool add_scalar(Scalar value) = 0;
  virtual bool add_typed(const std::type_info& type, void* value) = 0;
  virtual Status add_packed(Bytes value) = 0;  // One packed value. Code::invalid if this fold cannot take it.

  // Adds what pack() wrote, here or in another process.
  virtual Status merge_packed(Bytes partial) = 0;
  // Writes what was added so far as one value; nil if that is nothing.
  virtual void pack(Packer& packer) const = 0;

  virtual bool empty() const = 0;
  virtual void clear() = 0;
};

// A named way to combine results; registered once, started for every batch. Thread-safe.
class FoldFunction {
public:
  explicit FoldFunction(std::string name) : name_(std::move(name)) {}
  virtual ~FoldFunction() = default;

  virtual std::unique_ptr<FoldAccumulator> start() const = 0;
  const std::string& name() const { return name_; }

private:
  std::string name_;
};

namespace detail {

// Does not lift: results are of the fold's own type.
struct NoLift {};

template <class T, class Combine>
void combine_into(const Combine& combine, T& into, std::type_identity_t<T>&& value) {
  if constexpr (std::is_invocable_r_v<T, const Combine&, T, T>) {
    into = combine(std::move(into), std::move(value));
  } else {
    combine(into, std::move(value));
  }
}

template <class T, class Combine, class Lift>
class BoundAccumulator final : public FoldAccumulator {
public:
  BoundAccumulator(const Combine& combine, const Lift& lift) : combine_(combine), lift_(lift) {}

  bool add_scalar(Scalar value) override {
    if constexpr (std::is_same_v<Lift, NoLift> && std::is_same_v<T, Scalar>) {
      add(std::move(value));
      return true;
    } else if constexpr (std::is_same_v<Lift, NoLift> && std::is_floating_point_v<T>) {
      add(static_cast<T>(value.real()));
      return true;
    } else if constexpr (std::is_same_v<Lift, NoLift> && std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (!value.is_integer() || !std::in_range<T>(value.integer())) return false;
      add(static_cast<T>(value.integer()));
      return true;
    } else {
      return false;
    }
  }

  bool add_typed(const std::type_info& type, void* value) override {
    if (!std::is_same_v<Lift, NoLift> || type != typeid(T)) return false;
    add(std::move(*static_cast<T*>(value)));
    return true;
  }

  Status add_packed(Bytes value) override {
    if constexpr (std::is_same_v<Lift, NoLift>) {
      return merge(value);
    } else {
      add(lift_(value));
      return {};
    }
  }

  Status merge_packed(Bytes partial) override {
    Unpacker unpacker{partial};
    PackKind kind{};
    if (unpacker.peek(kind) && kind == PackKind::nil) return {};
    return merge(partial);
  }

  void pack(Packer& packer) const override {
    if (total_) {
      pack_value(packer, *total_);
    } else {
      packer.pack_nil();
    }
  }

  bool empty() const override { return !total_; }
  void clear() override { total_.reset(); }

private:
  const Combine& combine_;
  const Lift& lift_;
  std::optional<T> total_;

  void add(T&& value) {
    if (total_) {
      combine_into(combine_, *total_, std::move(value));
    } else {
      total_.emplace(std::move(value));
    }
  }

  Status merge(Bytes packed) {
    Result<T> value = unpack_from<T>(packed);
    if (!value) return value.error();
    add(std::move(*value));
    return {};
  }
};

template <class T, class Combine, class Lift>
class BoundFold final : public FoldFunction {
public:
  BoundFold(std::string name, Combine combine, Lift lift)
      : FoldFunction(std::move(name)), combine_(std::move(combine)), lift_(std::move(lift)) {}

  std::unique_ptr<FoldAccumulator> start() const override {
    return std::make_unique<BoundAccumulator<T, Combine, Lift>>(combine_, lift_);
  }

private:
  Combine combine_;
  Lift lift_;
};

}  // namespace detail
}  // namespace ventile
