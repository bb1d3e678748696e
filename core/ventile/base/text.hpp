// A short text in little memory, for values of which there are many and that mostly have none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace ventile {

// Sixteen bytes and, if it is not empty, its characters: a std::string takes twice as much before it has any. It is
// assigned as a whole and never changed in part. A value.
class Text {
public:
  static constexpr std::size_t size_max = std::numeric_limits<std::uint32_t>::max();  // Of a longer one the beginning.

  Text() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): it stands wherever a string did.
  Text(std::string_view text) : size_(static_cast<std::uint32_t>(std::min(text.size(), size_max))) {
    if (size_ == 0) return;
    characters_ = std::make_unique<char[]>(size_);
    std::copy_n(text.begin(), size_, characters_.get());
  }
  Text(const std::string& text) : Text(std::string_view{text}) {}  // NOLINT(google-explicit-constructor)
  Text(const char* text) : Text(std::string_view{text}) {}         // NOLINT(google-explicit-constructor)
  Text(const Text& other) : Text(other.view()) {}
  Text(Text&& other) noexcept : characters_(std::move(other.characters_)), size_(std::exchange(other.size_, 0)) {}
  Text& operator=(Text other) noexcept {
    characters_ = std::move(other.characters_);
    size_ = other.size_;
    return *this;
  }
  ~Text() = default;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {characters_.get(), size_}; }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
  std::string string() const { return std::string{view()}; }

  friend bool operator==(const Text& a, const Text& b) { return a.view() == b.view(); }

private:
  std::unique_ptr<char[]> characters_;
  std::uint32_t size_ = 0;
};

}  // namespace ventile
