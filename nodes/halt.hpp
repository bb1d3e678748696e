// --halt: when a job ends before its last task, in the words of GNU Parallel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <ventile/base/result.hpp>

namespace ventile {

// What a job has come to so far.
struct HaltCounts {
  std::uint64_t failed = 0;
  std::uint64_t succeeded = 0;
  std::optional<std::uint64_t> total;  // Unknown while the input has not ended.
};

// Ends the job once enough tasks have failed, succeeded or finished either way.
struct HaltRule {
  enum class When : std::uint8_t {
    soon,  // Start no more tasks; let those that run finish.
    now,   // Stop those that run, too.
  };
  enum class Why : std::uint8_t { fail, success, done };
  struct Tasks {
    std::uint64_t count;  // At least 1.
    bool operator==(const Tasks&) const = default;
  };
  struct Percent {
    double value;  // In (0, 100].
    bool operator==(const Percent&) const = default;
  };

  When when = When::soon;
  Why why = Why::fail;
  std::variant<Tasks, Percent> threshold = Tasks{1};

  // A percentage is of the total. While that is unknown it is of the tasks finished so far, and takes at least three
  // of the kind counted, so that a first task that fails does not end everything.
  bool reached(const HaltCounts& counts) const;
  bool operator==(const HaltRule&) const = default;
};

// "never" (no rule), or WHEN,WHY=THRESHOLD: "now,fail=1", "soon,fail=3%", "soon,success=10", "now,done=50%".
Result<std::optional<HaltRule>> parse_halt(std::string_view text);
std::string to_text(const std::optional<HaltRule>& rule);  // Reads back as the same rule.

}  // namespace ventile
