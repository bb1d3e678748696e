// How many messages were refused, and why.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>

#include <ventile/wire/messages.hpp>

namespace ventile {

// One word for each kind of reason; the log has the sentence.
enum class RefusedFor : std::uint8_t {
  malformed,     // No message of ours, or fields that contradict themselves.
  version,       // Of another version of the protocol.
  out_of_place,  // A message that its sender may send, but not now, or that names what was never there.
  unauthorized,  // What the sender's key does not entitle it to.
  forged,        // A result without the seal of a lease of its sender.
  revoked,       // The sender's key is not on the list (any more).
  over_limit,    // More than its sender may have.
};

class RefusalCounts {
public:
  using Counts = std::array<std::uint64_t, refusal_reasons>;
  static constexpr std::array<std::string_view, refusal_reasons> names{
      "malformed", "version", "out of place", "unauthorized", "forged", "revoked", "over limit"};

  RefusalCounts() = default;
  explicit RefusalCounts(const Counts& counts) : counts_(counts) {}

  void count(RefusedFor reason, std::uint64_t messages = 1) {
    counts_.at(static_cast<std::size_t>(reason)) += messages;
  }
  std::uint64_t of(RefusedFor reason) const { return counts_.at(static_cast<std::size_t>(reason)); }
  const Counts& by_reason() const { return counts_; }
  std::uint64_t total() const { return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0}); }

  // The name of a reason for a program to read: "out_of_place".
  static std::string key(std::size_t reason) {
    std::string text{names.at(reason)};
    std::replace(text.begin(), text.end(), ' ', '_');
    return text;
  }
  // "3 forged, 1 malformed"; empty if there were none.
  std::string to_text() const {
    std::string text;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (counts_.at(i) > 0)
        text += (text.empty() ? "" : ", ") + std::to_string(counts_.at(i)) + " " + std::string(names.at(i));
    return text;
  }

private:
  Counts counts_{};
};

}  // namespace ventile
