#include <nodes/run/command_task.hpp>

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>

#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

constexpr std::size_t tail_bytes_max = 160;  // Of stderr, in a failure's message.

double unix_seconds(TimePoint time) {
  const auto unix_now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch());
  return unix_now.count() - to_seconds(Clock::now() - time);
}

// The end of what was written on stderr, in whole lines if there is one.
std::string last_lines(std::string tail) {
  tail.erase(tail.find_last_not_of(" \t\r\n") + 1);
  if (tail.size() <= tail_bytes_max) return tail;
  tail.erase(0, tail.size() - tail_bytes_max);
  const std::size_t line = tail.find('\n');
  return line == std::string::npos ? "…" + tail : tail.substr(line + 1);
}

// What a command writes, and where that goes.
class Streams {
public:
  Streams(const CommandTaskServices& services, const CommandTaskOptions& options, const std::string& tag)
      : spill_(*services.spill),
        mode_(options.output),
        travels_(!options.host.empty()),
        bytes_max_(options.output_bytes_max),
        captured_output_(*services.spill),
        captured_error_(*services.spill),
        turn_(*services.live),
        live_output_(*services.live, turn_, STDOUT_FILENO, tag),
        live_error_(*services.live, turn_, STDERR_FILENO, tag) {}

  void connect(Command& command) {
    command.inherit_output = mode_ == OutputMode::direct;
    if (mode_ == OutputMode::direct) return;
    command.on_stdout = [this](std::string_view chunk) {
      return mode_ == OutputMode::lines ? live_output_.add(chunk) : keep(captured_output_, chunk, "stdout");
    };
    command.on_stderr = [this](std::string_view chunk) {
      if (mode_ == OutputMode::grouped) return keep(captured_error_, chunk, "stderr");
      tail_.append(chunk);
      if (tail_.size() > 8 * tail_bytes_max) tail_.erase(0, tail_.size() - 2 * tail_bytes_max);
      return live_error_.add(chunk);
    };
  }
  Status finish(RunReport& report) {
    error_tail_ = last_lines(mode_ == OutputMode::grouped ? captured_error_.tail(2 * tail_bytes_max) : tail_);
    report.standard_output = captured_output_.take();
    report.standard_error = captured_error_.take();
    report.spill_key = spill_.key();
    if (travels_)
      for (CapturedOutput* output : {&report.standard_output, &report.standard_error})
        if (Status gathered = output->gather(spill_); !gathered) return gathered;
    if (mode_ != OutputMode::lines) return {};
    if (Status finished = live_output_.finish(); !finished) return finished;
    return live_error_.finish();
  }
  const std::string& error_tail() const { return error_tail_; }

private:
  SpillFile& spill_;
  OutputMode mode_;
  bool travels_;
  std::uint64_t bytes_max_;
  OutputCapture captured_output_;
  OutputCapture captured_error_;
  LiveTurn turn_;
  LiveLines live_output_;
  LiveLines live_error_;
  std::string tail_;
  std::string error_tail_;

  Status keep(OutputCapture& capture, std::string_view chunk, const char* stream) const {
    if (capture.size() + chunk.size() <= bytes_max_) return capture.add(chunk);
    return Error{Code::overloaded, std::string{stream} + " is over " + std::to_string(bytes_max_ >> 20) +
                                       " MiB, the most that comes back from another machine; write it to a file there"};
  }
};

// Whatever becomes of the task, its files leave.
class Visit {
public:
  Visit(Guests& guests, const RunInput& input) : guests_(guests), input_(input) {}
  ~Visit() { guests_.leave(input_); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

private:
  Guests& guests_;
  const RunInput& input_;
};

}  // namespace

// A slot for as long as a command runs.
class CommandTask::Pass {
public:
  Pass(SlotGate& gate, const TaskContext& context)
      : gate_(gate), slot_(gate.enter(context.number(), context.stop_token())) {}
  ~Pass() {
    if (slot_) gate_.leave(*slot_);
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  bool granted() const { return slot_.has_value(); }
  std::uint32_t slot() const { return *slot_; }
  void queued() const { gate_.queued(*slot_); }

private:
  SlotGate& gate_;
  std::optional<std::uint32_t> slot_;
};

RunReport CommandTask::operator()(TaskContext context, Bytes payload) const {
  Result<RunInput> input = unpack_from<RunInput>(payload);
  if (!input) throw TaskFailure{"arguments", input.error().message};
  const Pass pass{*services_.gate, context};
  if (!pass.granted()) throw TaskFailure{std::string{run_failure::unstarted}, "the run ended before it"};
  try {
    RunReport report = visit(context, std::move(*input), pass);
    services_.halt->on_ended(true);
    return report;
  } catch (const TaskFailure& failure) {  // Still in the slot: whoever is next finds the gate closed.
    const bool ended = context.attempt() >= services_.tries_max && failure.kind() != run_failure::unstarted;
    if (ended) services_.halt->on_ended(false);
    throw;
  }
}

// With the files that it brings and leaves behind.
RunReport CommandTask::visit(const TaskContext& context, RunInput input, const Pass& pass) const {
  if (services_.guests == nullptr) return run(context, input, pass);
  const Visit visit{*services_.guests, input};
  if (Status arrived = services_.guests->arrive(input); !arrived)
    throw TaskFailure{std::string{run_failure::transfer}, arrived.error().message};
  return run(context, input, pass);
}

RunReport CommandTask::run(const TaskContext& context, RunInput& input, const Pass& pass) const {
  const TaskPlace place{input.sequence, pass.slot() + 1};
  RunReport report;
  report.sequence = input.sequence;
  report.host = options_.host;
  if (!options_.tag.empty()) report.tag = options_.tag.text(input.arguments, place) + "\t";
  Command command = command_for(context, input, place);
  if (options_.reports_command) report.command = quoted_for_reading(command.argv);
  if (options_.says_commands) (void)services_.live->write(STDERR_FILENO, quoted_for_reading(command.argv) + "\n");
  Streams streams{services_, options_, report.tag};
  streams.connect(command);
  const Result<ProcessOutcome> outcome = services_.zygote->run(
      command, context.stop_token(), {.withdraw = services_.gate->closing(), .on_queued = [&] { pass.queued(); }});
  if (!outcome) throw TaskFailure{std::string{run_failure::spawn}, outcome.error().message};
  if (outcome->withdrawn) throw TaskFailure{std::string{run_failure::unstarted}, "the run ended before it"};
  report.started = unix_seconds(outcome->began);
  report.seconds = outcome->wall_seconds;
  report.exit_code = outcome->exit_code;
  report.signal = outcome->signal;
  const Status finished = streams.finish(report);
  if (options_.reports_arguments) report.arguments = input.arguments;
  const Status collected = services_.guests != nullptr ? services_.guests->collect(input, report) : Status{};
  if (!finished) throw TaskFailure{std::string{run_failure::output}, finished.error().message, report};
  check(*outcome, streams.error_tail(), report);
  if (!collected) throw TaskFailure{std::string{run_failure::bring_back}, collected.error().message, report};
  return report;
}

Command CommandTask::command_for(const TaskContext& context, RunInput& input, TaskPlace place) const {
  Command command;
  command.standard_input = std::move(input.standard_input);
  if (options_.arguments_to_input) {
    for (const std::string& argument : input.arguments) command.standard_input += argument + "\n";
    command.argv = options_.command.words({}, place);
  } else {
    command.argv = options_.command.words(input.arguments, place);
  }
  command.argv.insert(command.argv.begin(), options_.before.begin(), options_.before.end());
  command.environment = {{"VENTILE_JOB", to_string(context.job())},
                         {"VENTILE_TASK", std::to_string(context.number())},
                         {"VENTILE_ATTEMPT", std::to_string(context.attempt())},
                         {"PARALLEL_SEQ", std::to_string(place.sequence)}};
  if (!options_.lines_number_slots) {
    command.environment.emplace_back("VENTILE_SLOT", std::to_string(place.slot - 1));
    command.environment.emplace_back("PARALLEL_JOBSLOT", std::to_string(place.slot));
  }
  command.environment.insert(command.environment.end(), options_.environment.begin(), options_.environment.end());
  command.directory = options_.directory;
  command.nice = options_.nice;
  command.timeout = services_.time_limit->fixed();
  if (services_.time_limit->relative()) command.time_limit = [limit = services_.time_limit] { return limit->now(); };
  return command;
}

void CommandTask::check(const ProcessOutcome& outcome, const std::string& tail, RunReport& report) const {
  const auto fail = [&](std::string_view kind, const std::string& message) {
    throw TaskFailure{std::string{kind}, tail.empty() ? message : message + "\n" + tail, report};
  };
  if (outcome.start_error) {
    report.exit_code = 127;  // As a shell would say it.
    fail(run_failure::spawn, *outcome.start_error);
  }
  if (outcome.output_error) fail(run_failure::output, *outcome.output_error);
  if (outcome.timed_out) fail(run_failure::timeout, "over its time-out");
  if (outcome.stopped) fail(run_failure::cancelled, "stopped, for the run has ended");
  services_.time_limit->add(from_seconds(report.seconds));
  if (outcome.signal != 0)
    fail(run_failure::signal, "signal " + std::to_string(outcome.signal) + " (" + strsignal(outcome.signal) + ")");
  if (outcome.exit_code != 0) fail(run_failure::exit, "exit status " + std::to_string(outcome.exit_code));
}

void add_command_task(TaskRegistry& tasks, CommandTaskOptions options, CommandTaskServices services) {
  tasks.add("run",
            [task = CommandTask{std::move(options), std::move(services)}](
                TaskContext context, const PackedArguments& packed) { return task(context, packed.payload); },
            {.repeatable = false, .enforces_timeout = true});
}

}  // namespace ventile
