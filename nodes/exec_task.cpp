#include <nodes/exec_task.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include <ventile/task/context.hpp>
#include <ventile/task/process.hpp>
#include <ventile/wire/json.hpp>

namespace ventile {
namespace {

TaskFailure bad_arguments(const std::string& message) { return {"arguments", message}; }

// The task's value as the text that takes the place of {}.
std::string input_text(const PackedArguments& arguments) {
  const std::vector<Bytes> values = arguments.values();
  if (values.size() != 1) throw bad_arguments("expected 1 argument, got " + std::to_string(values.size()));
  Unpacker unpacker{values.front()};
  PackKind kind{};
  unpacker.peek(kind);
  if (Bytes bytes; (kind == PackKind::string || kind == PackKind::binary) && unpacker.read_binary(bytes)) {
    return std::string{as_text(bytes)};
  }
  std::string json;
  if (Status status = append_json(unpacker, json); !status) throw bad_arguments(status.error().message);
  return json;
}

// What Packer leaves open: a map whose entries may be missing.
class MapWriter {
public:
  void add(std::string_view key, std::string_view text) { entry(key).pack_string(text); }
  void add(std::string_view key, double value) { entry(key).pack(value); }
  void add(std::string_view key, std::int64_t value) { entry(key).pack_signed(value); }
  void add_true(std::string_view key) { entry(key).pack(true); }

  Buffer take() const {
    Buffer map;
    Packer packer{map};
    packer.pack_map(count_);
    packer.append_packed(entries_);
    return map;
  }

private:
  Buffer entries_;
  Packer packer_{entries_};
  std::uint32_t count_ = 0;

  Packer& entry(std::string_view key) {
    ++count_;
    packer_.pack_string(key);
    return packer_;
  }
};

Buffer packed(const ProcessOutcome& outcome) {
  MapWriter map;
  if (outcome.exit_code >= 0) map.add("exit", std::int64_t{outcome.exit_code});
  if (outcome.signal != 0) map.add("signal", std::int64_t{outcome.signal});
  map.add("stdout", outcome.standard_output);
  if (outcome.stdout_truncated) map.add_true("stdout_truncated");
  map.add("stderr", outcome.stderr_tail);
  map.add("user", outcome.user_seconds);
  map.add("system", outcome.system_seconds);
  map.add("wall", outcome.wall_seconds);
  map.add("max_rss_kb", std::int64_t{outcome.max_rss_kilobytes});
  return map.take();
}

// ": " and the last line of stderr that says something, or nothing.
std::string last_words(std::string_view tail) {
  const std::string_view line = last_line(tail);
  return line.empty() ? "" : ": " + std::string{line};
}

Packed result_of(const ProcessOutcome& outcome) {
  if (outcome.start_error) throw TaskFailure{"spawn", *outcome.start_error};
  Packed map{packed(outcome)};
  const std::string end = last_words(outcome.stderr_tail);
  if (outcome.timed_out) throw TaskFailure{"timeout", "over its time-out" + end, map};
  if (outcome.stopped) throw TaskFailure{"cancelled", "told to stop before it had ended" + end, map};
  if (outcome.signal != 0) {
    const std::string name = std::to_string(outcome.signal) + " (" + strsignal(outcome.signal) + ")";
    throw TaskFailure{"signal", "ended by signal " + name + end, map};
  }
  if (outcome.exit_code != 0) throw TaskFailure{"exit", "exit status " + std::to_string(outcome.exit_code) + end, map};
  return map;
}

class ExecTask {
public:
  ExecTask(std::shared_ptr<const Zygote> zygote, ExecOptions options)
      : zygote_(std::move(zygote)), options_(std::move(options)) {}

  Packed operator()(TaskContext context, const PackedArguments& arguments) const {
    Result<std::vector<std::string>> words = expand(options_.words, input_text(arguments));
    if (!words) throw bad_arguments(words.error().message);
    Command command;
    command.argv = std::move(*words);
    command.environment = environment(context);
    command.stdout_bytes_max = options_.stdout_bytes_max;
    command.kill_after = options_.kill_after;
    if (const TimePoint deadline = context.deadline(); deadline != never) {
      command.timeout = std::max(deadline - Clock::now(), Duration{1});
    }
    Result<ProcessOutcome> outcome = zygote_->run(command, context.stop_token());
    if (!outcome) throw TaskFailure{"spawn", outcome.error().message};
    return result_of(*outcome);
  }

private:
  std::shared_ptr<const Zygote> zygote_;  // Also for a thread that a Runner has left behind.
  ExecOptions options_;

  std::vector<std::pair<std::string, std::string>> environment(const TaskContext& context) const {
    return {{"VENTILE_JOB", to_string(context.job())},
            {"VENTILE_TASK", std::to_string(context.number())},
            {"VENTILE_ATTEMPT", std::to_string(context.attempt())},
            {"VENTILE_WORKER", options_.worker},
            {"VENTILE_SLOT", std::to_string(context.slot())}};
  }
};

}  // namespace

void add_exec_task(TaskRegistry& tasks, std::shared_ptr<const Zygote> zygote, ExecOptions options) {
  tasks.add("exec", ExecTask{std::move(zygote), std::move(options)}, {.repeatable = false, .enforces_timeout = true});
}

}  // namespace ventile
