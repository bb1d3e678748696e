#include <ventile/wire/outcome.hpp>

#include <array>

namespace ventile {

std::string_view to_string(Outcome outcome) {
  static constexpr std::array<std::string_view, outcome_count> names{"done", "failed",  "dead",
                                                                     "lost", "expired", "cancelled"};
  return names.at(static_cast<std::size_t>(outcome));
}

}  // namespace ventile
