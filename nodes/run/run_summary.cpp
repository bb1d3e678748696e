#include <nodes/run/run_summary.hpp>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <nodes/quantity.hpp>
#include <nodes/run/quoting.hpp>

namespace ventile {
namespace {

constexpr std::size_t groups_shown = 5;
constexpr std::size_t tasks_shown = 3;

std::string group_words(const RunFailures& failures) {
  std::string words;
  std::uint64_t shown = 0;
  for (const FailureGroup& group : failures.groups().largest(groups_shown)) {
    words += fmt::format("{}{} × {}", words.empty() ? "" : ", ", group.count, group.message);
    shown += group.count;
  }
  if (failures.count() > shown) words += fmt::format(", {} × something else", failures.count() - shown);
  return words;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string indented(const std::string& text) {
  std::string lines = "    ";
  for (const char c : text) lines += c == '\n' ? std::string{"\n    "} : std::string(1, c);
  return lines + "\n";
}

std::string task_lines(const RunFailures& failures) {
  std::string lines;
  const std::size_t count = std::min(failures.first().size(), tasks_shown);
  for (const RunFailure& failure :
       std::vector(failures.first().begin(), failures.first().begin() + static_cast<std::ptrdiff_t>(count))) {
    const std::string arguments = quoted_for_reading(failure.input.arguments);
    lines += fmt::format("  task {}{}{}: {}\n", failure.input.sequence, arguments.empty() ? "" : " ", arguments,
                         failure.how);
    if (!failure.tail.empty()) lines += indented(failure.tail);
  }
  if (failures.count() > count) lines += fmt::format("  … and {} more\n", failures.count() - count);
  return lines;
}

std::string sources_of(const RunSummary& summary) {
  const std::vector<RunFailure>& tasks = summary.failures.first();
  const std::size_t columns = tasks.front().input.arguments.size();
  const bool alike = std::all_of(tasks.begin(), tasks.end(),
                                 [&](const RunFailure& task) { return task.input.arguments.size() == columns; });
  if (!alike || columns == 0) return {};
  std::string sources;
  for (std::size_t column = 0; column < columns; ++column) {
    sources += column == 0 ? " :::" : " :::+";
    if (!summary.names.empty())
      sources += " " + quoted_for_reading(column < summary.names.size() ? summary.names[column] : "");
    for (const RunFailure& task : tasks) sources += " " + quoted_for_reading(task.input.arguments[column]);
  }
  return sources;
}

bool is_one_of(std::string_view option, std::initializer_list<std::string_view> names) {
  const std::string_view name = option.substr(0, option.find('='));
  return std::any_of(names.begin(), names.end(),
                     [name](std::string_view one) { return name == "--" + std::string{one}; });
}

}  // namespace

void RunFailures::add(RunInput input, std::string_view message) {
  const std::size_t line = message.find('\n');
  const std::string how{message.substr(0, line)};
  groups_.add({input.sequence, 1}, how);
  std::size_t bytes = 0;
  for (const std::string& argument : input.arguments) bytes += argument.size();
  if (first_.size() == kept_max || kept_bytes_ + bytes > kept_bytes_max) return;
  kept_bytes_ += bytes;
  input.standard_input.clear();
  first_.push_back(
      {std::move(input), how, line == std::string_view::npos ? "" : std::string{message.substr(line + 1)}});
}

std::string rerun_command(const RunSummary& summary) {
  if (!summary.joblog.empty()) {
    std::string text = "ventile run --retry-failed --joblog " + quoted_for_reading(summary.joblog);
    // The log has whole commands: what is made of their arguments, as tags and folders are, would be made of other
    // words.
    for (const std::string& option : summary.options)
      if (!is_one_of(option, {"joblog", "shell", "tag", "tagstring", "results", "replace"}))
        text += " " + quoted_for_reading(option);
    return text;
  }
  if (summary.failures.first().empty() || !summary.failures.kept_all() || !summary.arguments_known) return {};
  const std::string sources = sources_of(summary);
  if (sources.empty()) return {};
  std::string text = "ventile run";
  for (const std::string& option : summary.options)
    if (!is_one_of(option, {"joblog"})) text += " " + quoted_for_reading(option);  // It would be written anew.
  if (!summary.names.empty()) text += " --header :";
  if (!summary.command.empty()) text += " " + quoted_for_reading(summary.command);
  return text + sources;
}

std::string summary_text(const RunSummary& summary) {
  const std::uint64_t failed = summary.failures.count();
  std::string text;
  if (summary.workers_lost > 0)
    text = fmt::format("ventile run: {} lost; {} given to others\n",
                       counted(summary.workers_lost, "machine was", "machines were"),
                       counted(summary.requeued, "task was", "tasks were"));
  if (failed == 0 && summary.unstarted == 0) return text;
  text +=
      fmt::format("ventile run: {} of {} tasks failed in {}", failed, summary.done + failed, rounded(summary.duration));
  if (failed > 0) text += ": " + group_words(summary.failures);
  text += "\n";
  if (summary.unstarted > 0)
    text += fmt::format("  {} more {} not started, or stopped, for the run ended early\n", summary.unstarted,
                        summary.unstarted == 1 ? "was" : "were");
  text += task_lines(summary.failures);
  if (failed == 0) return text;
  const std::string again = rerun_command(summary);
  if (again.empty() && summary.reads_blocks) return text + "what --pipe gave them is not kept: run it all again\n";
  if (again.empty()) return text + "to be able to run only these again, give --joblog FILE, and then --retry-failed\n";
  return text + "run only these again: " + again + "\n";
}

std::string summary_json(const RunSummary& summary) {
  auto groups = nlohmann::ordered_json::array();
  for (const FailureGroup& group : summary.failures.groups().largest(groups_shown))
    groups.push_back({{"message", group.message}, {"count", group.count}, {"first_tasks", group.first_tasks}});
  const nlohmann::ordered_json document{{"schema", 1},
                                        {"seconds", to_seconds(summary.duration)},
                                        {"done", summary.done},
                                        {"failed", summary.failures.count()},
                                        {"not_started", summary.unstarted},
                                        {"passed_over", summary.passed_over},
                                        {"machines_lost", summary.workers_lost},
                                        {"tasks_requeued", summary.requeued},
                                        {"failures", groups},
                                        {"run_again", rerun_command(summary)}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace ventile
