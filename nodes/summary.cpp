#include <nodes/summary.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <nodes/quantity.hpp>

namespace ventile {
namespace {

constexpr std::size_t groups_shown = 10;
constexpr int schema = 1;

struct NamedCount {
  std::string_view name;
  std::uint64_t count;
};

std::array<NamedCount, 6> outcomes_of(const JobSummary& summary) {
  return {{{"done", summary.done},
           {"failed", summary.failed},
           {"dead", summary.dead},
           {"lost", summary.lost},
           {"expired", summary.expired},
           {"cancelled", summary.cancelled}}};
}

std::uint64_t sum_of_outcomes(const JobSummary& summary) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : outcomes_of(summary)) sum += count;
  return sum;
}

std::uint64_t without_outcome(const JobSummary& summary) {
  return summary.submitted - std::min(summary.submitted, summary.settled);
}

std::uint64_t counted_twice(const JobSummary& summary) {
  const std::uint64_t sum = sum_of_outcomes(summary);
  return sum - std::min(sum, summary.settled);
}

double tasks_per_second(const JobSummary& summary) {
  const double seconds = to_seconds(summary.duration);
  return seconds > 0 ? static_cast<double>(sum_of_outcomes(summary)) / seconds : 0;
}

// "100 done, 2 failed": done always, others if there are any.
std::string outcome_words(const JobSummary& summary) {
  std::string words;
  for (const auto& [name, count] : outcomes_of(summary)) {
    if (count > 0 || name == "done") words += fmt::format("{}{} {}", words.empty() ? "" : ", ", count, name);
  }
  return words;
}

std::string trouble_words(const JobSummary& summary) {
  const std::array<NamedCount, 6> troubles{{{"batches requeued", summary.batches_requeued},
                                            {"speculative copies", summary.batches_speculative},
                                            {"duplicates dropped", summary.duplicates_dropped},
                                            {"retries", summary.retries},
                                            {"begun again (--on-lost rerun)", summary.begun_again},
                                            {"malformed inputs skipped", summary.skipped}}};
  std::string words;
  for (const auto& [name, count] : troubles) {
    if (count > 0) words += fmt::format(", {} {}", count, name);
  }
  if (const std::uint64_t total = summary.refused.total(); total > 0)
    words += fmt::format(", {} messages refused ({})", total, summary.refused.to_text());
  return words;
}

std::string failure_lines(const JobSummary& summary) {
  if (summary.failures.count() == 0) return {};
  std::string lines = "failures:\n";
  std::uint64_t shown = 0;
  for (const FailureGroup& group : summary.failures.largest(groups_shown)) {
    const bool all_listed = group.count == group.first_tasks.size();
    lines += fmt::format("  {:>6} × {} (task{} {}{})\n", group.count, group.message, group.count == 1 ? "" : "s",
                         fmt::join(group.first_tasks, ", "), all_listed ? "" : ", …");
    shown += group.count;
  }
  const std::uint64_t others = summary.failures.count() - shown;
  if (others > 0) lines += fmt::format("  {:>6} × other messages\n", others);
  if (summary.failed_file.empty()) return lines + "to keep their inputs for another run, give --failed FILE\n";
  return lines + fmt::format("run them again: {}\n", rerun_command(summary.command, summary.failed_file));
}

nlohmann::ordered_json failures_json(const JobSummary& summary) {
  auto groups = nlohmann::ordered_json::array();
  for (const FailureGroup& group : summary.failures.largest(groups_shown)) {
    groups.push_back({{"message", group.message}, {"count", group.count}, {"first_tasks", group.first_tasks}});
  }
  return groups;
}

nlohmann::ordered_json refusals_json(const JobSummary& summary) {
  nlohmann::ordered_json json;
  for (std::size_t i = 0; i < refusal_reasons; ++i) json[RefusalCounts::key(i)] = summary.refused.by_reason().at(i);
  return json;
}

bool needs_no_quotes(char c) {
  constexpr std::string_view others = "_@%+=:,./-";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

std::string quoted(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), needs_no_quotes)) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return text + "'";
}

// True for the options that say where tasks come from, or where failed ones go. Sets how many words they take.
bool is_replaced(const std::string& word, std::size_t& length) {
  for (const std::string_view name : {"--input", "--range", "--failed", "-i"}) {
    const std::string_view attached = name.starts_with("--") ? "=" : "";
    length = word == name ? 2 : 1;
    if (word == name || word.starts_with(std::string{name} + std::string{attached})) return true;
  }
  return false;
}

}  // namespace

std::string audit_line(const JobSummary& summary) {
  std::string sum;
  for (const auto& [name, count] : outcomes_of(summary)) {
    if (count > 0 || name == "done" || name == "failed") {
      sum += fmt::format("{}{} {}", sum.empty() ? "" : " + ", name, count);
    }
  }
  const std::string_view relation = sum_of_outcomes(summary) == summary.submitted ? "=" : "!=";
  return fmt::format("audit: {} {} {} {}; lost {}, counted twice {}{}", summary.is_part ? "fetched" : "submitted",
                     summary.submitted, relation, sum, without_outcome(summary), counted_twice(summary),
                     summary.is_part ? "; of the rest of the job nothing is known here" : "");
}

std::string summary_text(const JobSummary& summary) {
  const std::string name = summary.name.empty() ? summary.job : summary.name;
  return fmt::format("job {}: {} in {} ({}/s) by {} {}{}\n{}\n{}", name, outcome_words(summary),
                     rounded(summary.duration), rounded(tasks_per_second(summary)), summary.workers_seen,
                     summary.workers_seen == 1 ? "worker" : "workers", trouble_words(summary), audit_line(summary),
                     failure_lines(summary));
}

std::string summary_json(const JobSummary& summary) {
  nlohmann::ordered_json outcomes;
  for (const auto& [name, count] : outcomes_of(summary)) outcomes[std::string{name}] = count;
  const nlohmann::ordered_json document{
      {"schema", schema},
      {"job", summary.job},
      {"name", summary.name},
      {"seconds", to_seconds(summary.duration)},
      {"tasks_per_second", tasks_per_second(summary)},
      {"submitted", summary.submitted},
      {"is_part", summary.is_part},
      {"skipped", summary.skipped},
      {"outcomes", outcomes},
      {"workers_seen", summary.workers_seen},
      {"batches_requeued", summary.batches_requeued},
      {"batches_speculative", summary.batches_speculative},
      {"duplicates_dropped", summary.duplicates_dropped},
      {"messages_refused", summary.refused.total()},
      {"refusals", refusals_json(summary)},
      {"retries", summary.retries},
      {"begun_again", summary.begun_again},
      {"audit",
       {{"settled", summary.settled}, {"lost", without_outcome(summary)}, {"counted_twice", counted_twice(summary)}}},
      {"failures", failures_json(summary)},
      {"failures_total", summary.failures.count()}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string rerun_command(const std::vector<std::string>& command, const std::string& failed_file) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < command.size();) {
    std::size_t length = 1;
    if (at == 0 || !is_replaced(command[at], length)) {
      words.push_back(quoted(command[at]));
      length = 1;
    }
    at += length;
  }
  words.emplace_back("--input");
  words.push_back(quoted(failed_file));
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace ventile
