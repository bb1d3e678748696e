// What a function returns when something may go wrong that its caller should handle.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace ventile {

// Tells the caller what to do, not what happened: that is in Error::message.
enum class Code : std::uint8_t {
  invalid,       // The input will never be acceptable: drop it and count it.
  overloaded,    // No room now: back off, then try again.
  disconnected,  // The peer is gone: reconnect, then try again.
  corrupt,       // Stored bytes are damaged: stop, and let a human look.
  failed,        // The work itself failed: report it to whoever asked.
  unavailable,   // An address, file or resource cannot be had: tell the user which and why.
};

struct Error {
  Code code = Code::failed;
  std::string message;  // One sentence that names what, where and, if known, what to do next.

  bool operator==(const Error&) const = default;
};

// A value or an Error. `if (!result) return result.error();` passes the error on.
template <class T>
class [[nodiscard]] Result {
public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  const Error& error() const { return *std::get_if<1>(&state_); }

private:
  std::variant<T, Error> state_;
};

// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT(google-explicit-constructor)

  explicit operator bool() const { return ok_; }
  const Error& error() const { return error_; }

private:
  Error error_;
  bool ok_ = true;
};

using Status = Result<void>;

}  // namespace ventile
