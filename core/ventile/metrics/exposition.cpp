#include <ventile/metrics/exposition.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

namespace ventile {
namespace {

constexpr double exact_integer_max = 9007199254740992.0;  // 2^53.

// A help escapes backslash and line end; a label's value its quotes too.
void append_escaped(std::string& text, std::string_view raw, bool is_quoted) {
  for (const char c : raw) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\\' || (c == '"' && is_quoted)) text += '\\';
    text += c;
  }
}

void append_labels(std::string& text, const Labels& labels) {
  char before = '{';
  for (const auto& [name, value] : labels) {
    text += before;
    text += name + "=\"";
    append_escaped(text, value, true);
    text += '"';
    before = ',';
  }
  if (!labels.empty()) text += '}';
}

// Whole numbers without an exponent, so that a person can read a count.
void append_value(std::string& text, double value) {
  if (std::isnan(value)) {
    text += "NaN";
    return;
  }
  if (std::isinf(value)) {
    text += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  std::array<char, 32> digits;
  char* const end = digits.data() + digits.size();
  const bool is_whole = std::abs(value) <= exact_integer_max && value == std::trunc(value);
  const auto written = is_whole ? std::to_chars(digits.data(), end, static_cast<long long>(value))
                                : std::to_chars(digits.data(), end, value);
  text.append(digits.data(), written.ptr);
}

void append_heading(std::string& text, const Sample& sample) {
  text += "# HELP " + sample.name + ' ';
  append_escaped(text, sample.help, false);
  text += "\n# TYPE " + sample.name + (sample.kind == MetricKind::counter ? " counter\n" : " gauge\n");
}

}  // namespace

std::string exposition(const Metrics& metrics) {
  std::string text;
  std::string_view name;
  const std::vector<Sample> samples = metrics.samples();
  for (const Sample& sample : samples) {
    if (sample.name != name) append_heading(text, sample);
    name = sample.name;
    text += sample.name;
    append_labels(text, sample.labels);
    text += ' ';
    append_value(text, sample.value);
    text += '\n';
  }
  return text;
}

}  // namespace ventile
