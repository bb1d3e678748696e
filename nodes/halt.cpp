#include <nodes/halt.hpp>

#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <nodes/quantity.hpp>

namespace ventile {
namespace {

constexpr std::array<std::pair<std::string_view, HaltRule::When>, 2> when_names{
    {{"soon", HaltRule::When::soon}, {"now", HaltRule::When::now}}};
constexpr std::array<std::pair<std::string_view, HaltRule::Why>, 3> why_names{
    {{"fail", HaltRule::Why::fail}, {"success", HaltRule::Why::success}, {"done", HaltRule::Why::done}}};

template <class Names>
auto find_name(const Names& names, std::string_view text) -> std::optional<decltype(names[0].second)> {
  for (const auto& [name, value] : names) {
    if (name == text) return value;
  }
  return std::nullopt;
}

template <class Names, class Value>
std::string_view name_of(const Names& names, Value value) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) return name;
  }
  return {};
}

std::optional<std::variant<HaltRule::Tasks, HaltRule::Percent>> parse_threshold(std::string_view text) {
  if (text.ends_with('%')) {
    const auto percent = parse_real(text.substr(0, text.size() - 1), 0, 100);
    if (!percent || *percent == 0) return std::nullopt;
    return HaltRule::Percent{*percent};
  }
  const auto count = parse_integer(text, 1, std::numeric_limits<std::int64_t>::max());
  if (!count) return std::nullopt;
  return HaltRule::Tasks{static_cast<std::uint64_t>(*count)};
}

std::uint64_t counted(HaltRule::Why why, const HaltCounts& counts) {
  switch (why) {
    case HaltRule::Why::fail:
      return counts.failed;
    case HaltRule::Why::success:
      return counts.succeeded;
    case HaltRule::Why::done:
      return counts.failed + counts.succeeded;
  }
  return 0;
}

}  // namespace

bool HaltRule::reached(const HaltCounts& counts) const {
  constexpr std::uint64_t least_of_unknown_total = 3;
  const std::uint64_t so_far = counted(why, counts);
  if (const auto* tasks = std::get_if<Tasks>(&threshold)) return so_far >= tasks->count;
  if (so_far < (counts.total ? 1 : least_of_unknown_total)) return false;
  const std::uint64_t whole = counts.total.value_or(counts.failed + counts.succeeded);
  return static_cast<double>(so_far) * 100 >= std::get<Percent>(threshold).value * static_cast<double>(whole);
}

Result<std::optional<HaltRule>> parse_halt(std::string_view text) {
  if (text == "never") return std::optional<HaltRule>{};
  const std::size_t comma = text.find(',');
  const std::size_t equals = text.find('=', comma == std::string_view::npos ? 0 : comma);
  if (comma != std::string_view::npos && equals != std::string_view::npos) {
    const auto when = find_name(when_names, text.substr(0, comma));
    const auto why = find_name(why_names, text.substr(comma + 1, equals - comma - 1));
    const auto threshold = parse_threshold(text.substr(equals + 1));
    if (when && why && threshold) return std::optional{HaltRule{*when, *why, *threshold}};
  }
  return Error{Code::invalid,
               fmt::format("expected never, or soon or now with fail, success or done = N or N%, such as soon,fail=3%, "
                           "got \"{}\"",
                           text)};
}

std::string to_text(const std::optional<HaltRule>& rule) {
  if (!rule) return "never";
  const auto* tasks = std::get_if<HaltRule::Tasks>(&rule->threshold);
  const std::string threshold = tasks != nullptr
                                    ? fmt::format("{}", tasks->count)
                                    : fmt::format("{}%", std::get<HaltRule::Percent>(rule->threshold).value);
  return fmt::format("{},{}={}", name_of(when_names, rule->when), name_of(why_names, rule->why), threshold);
}

}  // namespace ventile
