// How many messages were refused, and why.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>

namespace ventile {

// One word for each kind of reason; the log has the sentence.
enum class RefusedFor : std::uint8_t {
  malformed,     // No message of ours, or fields that contradict themselves.
  version,       // Of another version of the protocol.
  out_of_place,  // A message that its sender may send, but not now, or that names what was never there.
  unauthorized,  // What the sender's key does not entitle it to.
  forged,        // A result without the seal of a lease of its sender.
  revoked,       // The sender's key is not on the list (any more).
};

class RefusalCounts {
public:
  static constexpr std::array<std::string_view, 6> names{"malformed",    "version", "out of place",
                                                         "unauthorized", "forged",  "revoked"};

  void count(RefusedFor reason) { ++counts_.at(static_cast<std::size_t>(reason)); }
  std::uint64_t of(RefusedFor reason) const { return counts_.at(static_cast<std::size_t>(reason)); }
  std::uint64_t total() const { return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0}); }

  // "3 forged, 1 malformed"; empty if there were none.
  std::string to_text() const {
    std::string text;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (counts_.at(i) > 0)
        text += (text.empty() ? "" : ", ") + std::to_string(counts_.at(i)) + " " + std::string(names.at(i));
    return text;
  }

private:
  std::array<std::uint64_t, names.size()> counts_{};
};

}  // namespace ventile
