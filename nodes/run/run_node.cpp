// `ventile run`: commands for arguments. Ventilator, slots and sink are threads of this process.
#include <nodes/node.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include <nodes/companions.hpp>
#include <nodes/console.hpp>
#include <nodes/progress.hpp>
#include <nodes/reach.hpp>
#include <nodes/run/command_plan.hpp>
#include <nodes/run/command_task.hpp>
#include <nodes/run/dialect.hpp>
#include <nodes/run/run_input.hpp>
#include <nodes/run/run_output.hpp>
#include <nodes/run/run_summary.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/slots.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

// The roles that this process plays towards other machines.
struct RunKeys {
  Keys dispatcher;
  Keys sink;
  Keys worker;

  static Result<RunKeys> open(const std::string& folder, std::uint32_t strangers_max, const Log& log) {
    RunKeys keys;
    for (const auto& [role, place] : {std::pair{KeyRole::dispatcher, &keys.dispatcher},
                                      std::pair{KeyRole::sink, &keys.sink}, std::pair{KeyRole::worker, &keys.worker}}) {
      Result<Keys> opened = open_keys(folder, {role}, log);
      if (!opened) return opened.error();
      *place = *std::move(opened);
      place->limit_strangers(strangers_max);
    }
    return keys;
  }
};

constexpr Duration cancel_timeout = std::chrono::seconds{5};
constexpr std::uint32_t never_dead = 1'000'000;           // In heartbeats, of which there are two a second.
constexpr std::uint32_t lent_dead_after_heartbeats = 20;  // Silence of another machine for ten seconds is its death.
constexpr Duration gather_time = std::chrono::milliseconds{5};  // Of results on their way to the sink.
constexpr std::uint32_t waiting_max = 16;  // Tasks beyond those that run, so that no slot waits for one.

// --- What the options mean -------------------------------------------------------------------------------------------

ArgumentOptions argument_options(const RunCommand& run) {
  ArgumentOptions options;
  if (!run.delimiter.empty()) options.delimiter = run.delimiter.front();
  if (run.null_delimited) options.delimiter = '\0';
  options.column_separator = run.column_separator;
  options.trim = run.trim.empty() ? !run.column_separator.empty() : run.trim != "n";
  options.header = !run.header.empty();
  options.skip_empty = run.skip_empty;
  options.arguments_each = run.arguments_each.value_or(1);
  return options;
}

CommandPlan plan_of(const RunCommand& run, const std::vector<std::string>& names) {
  CommandPlan plan;
  const bool each_is_a_line = run.shell && run.command.empty();
  plan.words = run.command;
  if (each_is_a_line && !run.retry_failed) plan.before = {"sh", "-c"};
  plan.replacement = run.replacement;
  plan.names = names;
  plan.append = !run.pipe && !run.arguments_to_input;
  plan.shell = run.shell && !each_is_a_line;
  if (run.tag || !run.tag_template.empty()) plan.tag = run.tag_template.empty() ? "{}" : run.tag_template;
  plan.directory = run.directory;
  plan.nice = static_cast<std::int32_t>(run.nice);
  plan.timeout = run.timeout;
  plan.tries_max = run.retries;
  plan.reports_command = !run.joblog.empty();
  plan.reports_arguments = !run.results.empty();
  plan.arguments_to_input = run.arguments_to_input;
  plan.delay_nanoseconds = static_cast<std::uint64_t>(run.delay.count());
  plan.memory_free = run.memory_free;
  for (const std::string& name : run.environment)
    if (const char* const value = std::getenv(name.c_str())) plan.environment.push_back({name, value});
  plan.bring_back = run.bring_back;
  plan.cleanup = run.cleanup;
  return plan;
}

// Commands on this machine have its environment anyway, and may write where they like.
Result<CommandTaskOptions> local_task_options(const RunCommand& run, const CommandPlan& plan) {
  Result<CommandTaskOptions> options = task_options(plan);
  if (!options) return options;
  options->environment.clear();
  if (run.line_buffer) options->output = OutputMode::lines;
  if (run.ungroup) options->output = OutputMode::direct;
  options->says_commands = run.says_commands;
  return options;
}

std::vector<std::string> words_of(const CommandTaskOptions& options, const RunInput& input, TaskPlace place) {
  std::vector<std::string> words =
      options.command.words(options.arguments_to_input ? std::vector<std::string>{} : input.arguments, place);
  words.insert(words.begin(), options.before.begin(), options.before.end());
  return words;
}

// --- What is to run --------------------------------------------------------------------------------------------------

struct Work {
  std::unique_ptr<Input> input;
  CommandPlan plan;
  CommandTaskOptions task;
  std::shared_ptr<Luggage> luggage;  // Null: no file travels.

  Provision provision() const {
    if (luggage == nullptr) return {};
    return [bags = luggage](RunInput& one) { bags->pack(one); };
  }
};

Result<Work> work_with(const RunCommand& run, const std::vector<std::string>& names) {
  Work work;
  work.plan = plan_of(run, names);
  Result<CommandTaskOptions> task = local_task_options(run, work.plan);
  if (!task) return task.error();
  work.task = std::move(*task);
  if (run.transfer.empty() && run.bring_back.empty()) return work;
  Result<std::vector<CommandTemplate>> transfer = path_templates(run.transfer, names);
  if (!transfer) return Error{Code::invalid, "--transfer: " + transfer.error().message};
  Result<std::vector<CommandTemplate>> bring_back = path_templates(run.bring_back, names);
  if (!bring_back) return Error{Code::invalid, "--return: " + bring_back.error().message};
  work.luggage = std::make_shared<Luggage>(std::move(*transfer), std::move(*bring_back));
  return work;
}

Result<Work> failed_work(const RunCommand& run) {
  Result<std::vector<JobLogEntry>> log = read_job_log(run.joblog);
  if (!log) return log.error();
  std::map<std::uint64_t, const JobLogEntry*> last;
  for (const JobLogEntry& entry : *log) last[entry.sequence] = &entry;
  std::vector<RunInput> tasks;
  for (const auto& [sequence, entry] : last) {
    if (entry->succeeded()) continue;
    RunInput task{sequence, words_of_quoted(entry->command), {}};
    if (task.arguments.empty())
      return Error{Code::invalid, run.joblog + ": task " + std::to_string(sequence) +
                                      " is not quoted as ventile run does it: " + entry->command};
    tasks.push_back(std::move(task));
  }
  Result<Work> work = work_with(run, {});
  if (work) work->input = make_listed_input(std::move(tasks));
  return work;
}

Result<Work> block_work(const RunCommand& run) {
  Result<std::unique_ptr<ByteReader>> reader = ByteReader::open("-");
  if (!reader) return reader.error();
  Result<Work> work = work_with(run, {});
  if (!work) return work;
  BlockOptions blocks;
  blocks.block_bytes = run.block_bytes;
  blocks.record_end = run.record_end;
  blocks.record_start = run.record_start;
  blocks.records = run.arguments_each.value_or(0);
  work->input = make_block_input(BlockReader{std::move(*reader), blocks}, work->provision());
  return work;
}

Result<Work> argument_work(const RunCommand& run, const Console& console) {
  std::vector<SourceSpec> sources = run.sources;
  if (sources.empty()) {
    sources.push_back({{}, "-", true, false});
    if (isatty(STDIN_FILENO) == 1)
      console.write(Level::info, "reading arguments from the terminal, one per line; Ctrl-D ends them");
  }
  Result<std::unique_ptr<Arguments>> arguments = Arguments::open(sources, argument_options(run));
  if (!arguments) return arguments.error();
  Result<Work> work = work_with(run, (*arguments)->names());
  if (!work) return work;
  PassOver pass_over;
  if (run.resume || run.resume_failed) {
    if (work->task.command.shows_slot())
      return Error{Code::invalid, "--resume knows commands by their text, and {%} changes that from run to run"};
    std::vector<JobLogEntry> entries;
    if (access(run.joblog.c_str(), F_OK) == 0) {
      Result<std::vector<JobLogEntry>> log = read_job_log(run.joblog);
      if (!log) return log.error();
      entries = std::move(*log);
    }
    pass_over = [done = std::make_shared<DoneCommands>(entries, run.resume_failed), task = work->task](
                    const std::vector<std::string>& values, std::uint64_t sequence) {
      return done->take(quoted_for_reading(words_of(task, {sequence, values, {}}, {sequence, 1})));
    };
  }
  work->input = make_run_input(std::move(*arguments), std::move(pass_over), work->provision());
  return work;
}

Result<Work> work_of(const RunCommand& run, const Console& console) {
  if (run.retry_failed) return failed_work(run);
  return run.pipe ? block_work(run) : argument_work(run, console);
}

// --dry-run: every command that would run, in order, on stdout.
Status show_commands(Work& work) {
  while (true) {
    PayloadWriter block{0};
    const Result<bool> more = work.input->read(block, 1U << 16, 1U << 10);
    if (!more) return more.error();
    if (!*more) return {};
    const PayloadView view = block.view();
    std::string text;
    for (std::uint32_t i = 0; i < view.count(); ++i) {
      const Result<RunInput> input = unpack_from<RunInput>(view[i]);
      if (!input) return input.error();
      text += quoted_for_reading(words_of(work.task, *input, {input->sequence, 1})) + "\n";
    }
    if (Status written = write_all(STDOUT_FILENO, text); !written) return written;
  }
}

// --- The run ---------------------------------------------------------------------------------------------------------

// Follows the job on the ventilator's thread: failures, the halt rule, progress.
class Watch {
public:
  Watch(Console& console, const RunCommand& run, SlotGate& gate, EarlyHalt& halt)
      : run_(run),
        gate_(gate),
        halt_(halt),
        progress_(console,
                  choose_progress_style(run.bar.value_or(false), console.is_terminal(), false, run.common.quiet)) {}

  VentilatorCallbacks callbacks() {
    VentilatorCallbacks callbacks;
    callbacks.halt = [this](const Audit& audit, bool ended) { return decide(audit, ended); };
    callbacks.on_failure = [this](Number, Bytes payload, const FailureNote& note) { add_failure(payload, note); };
    if (run_.bar.value_or(false)) callbacks.on_progress = [this](const JobStatus& status) { show(status); };
    return callbacks;
  }
  void finish(RunSummary& summary) {
    progress_.finish();
    summary.failures = std::move(failures_);
    summary.unstarted = unstarted_;
  }

private:
  const RunCommand& run_;
  SlotGate& gate_;
  EarlyHalt& halt_;
  ProgressBar progress_;
  RunFailures failures_;
  std::uint64_t unstarted_ = 0;

  void add_failure(Bytes payload, const FailureNote& note) {
    if (note.outcome == Outcome::cancelled || note.kind.view() == run_failure::unstarted) {
      ++unstarted_;
      return;
    }
    Result<RunInput> input = unpack_from<RunInput>(payload);
    failures_.add(input ? std::move(*input) : RunInput{}, (note.message.empty() ? note.kind : note.message).string());
  }

  HaltDecision decide(const Audit& audit, bool ended) {
    if (gate_.closed() && !halt_.reached()) return HaltDecision::soon;  // By a signal.
    if (!run_.halt) return HaltDecision::go_on;
    // Where the gate knows already, the result that decides is still on its way, and cancelling could overtake it. What
    // the gate has turned away is no failure.
    const std::uint64_t done = audit.outcomes[static_cast<std::size_t>(Outcome::done)];
    const HaltCounts counts{failures_.count(), done, ended ? std::optional{audit.submitted} : std::nullopt};
    if (!run_.halt->reached(counts)) return HaltDecision::go_on;
    halt_.set_reached();
    return run_.halt->when == HaltRule::When::now ? HaltDecision::now : HaltDecision::soon;
  }

  void show(const JobStatus& status) {
    const auto outcome = [&](Outcome o) { return status.audit.outcomes[static_cast<std::size_t>(o)]; };
    progress_.update({.finished = status.audit.settled(),
                      .failed = status.audit.settled() - outcome(Outcome::done),
                      .requeued = status.counters.requeued_batches,
                      .workers = status.workers,
                      .total = status.input_ended ? std::optional{status.audit.submitted} : std::nullopt},
                     Clock::now());
  }
};

VentilatorOptions ventilator_options(const RunCommand& run, const CommandPlan& plan, std::uint32_t slots,
                                     const Console& console) {
  VentilatorOptions options;
  options.bind = run.bind.value_or(private_endpoint("ventile-run", Transport::inproc));
  options.job.function = "run";
  options.job.tries_max = run.retries;
  options.job.on_lost = run.on_lost;
  if (run.bind) {
    options.job.constants = pack_plan(plan);
    options.job.constant_count = 1;
  }
  options.dispatcher.speculate = false;
  options.dispatcher.isolate_suspects = false;
  options.dispatcher.retry_delay = Duration{0};
  // The sink is in this process: one that says nothing waits for whoever reads what it writes. So is the worker,
  // without others; and what another machine runs is not to be run twice because it was held up for a moment.
  options.dispatcher.sink_dead_after_heartbeats = never_dead;
  options.dispatcher.dead_after_heartbeats = run.bind ? lent_dead_after_heartbeats : never_dead;
  if (run.pipe) options.feed.window_bytes = std::max(options.feed.window_bytes, 3 * slots * run.block_bytes);
  options.log = run.bind ? console.log() : warnings_of(console.log());
  return options;
}

// Where nobody else takes tasks, some wait in their order, so that no slot waits for one. Elsewhere a task that waits
// could run on another machine.
std::uint32_t waiting_tasks(const RunCommand& run) { return run.bind ? 0 : waiting_max; }

// Nothing but a free slot decides when a command may start, and no word of it depends on which slot that is: then those
// that wait do so beyond the gate, where a slot takes the next one without asking anybody.
bool starts_ahead(const RunCommand& run) {
  const auto shows_slot = [](const std::string& word) { return word.find("{%}") != std::string::npos; };
  return !run.bind && !run.halt && run.delay == Duration::zero() && run.memory_free == 0 &&
         std::none_of(run.command.begin(), run.command.end(), shows_slot) && !shows_slot(run.tag_template);
}

ZygoteOptions zygote_options(const RunCommand& run, std::uint32_t slots) {
  if (!starts_ahead(run)) return {};
  return {.lines_max = slots, .line_variables = {{"VENTILE_SLOT", 0}, {"PARALLEL_JOBSLOT", 1}}};
}

SlotGateOptions local_gate_options(const RunCommand& run, const CommandPlan& plan, std::uint32_t slots) {
  SlotGateOptions options = gate_options(plan, slots, !run.bind);
  if (starts_ahead(run)) options.ahead = waiting_tasks(run);
  return options;
}

std::optional<WorkerOptions> worker_options(const RunCommand& run, const Endpoint& dispatcher, std::uint32_t slots,
                                            const Keys& keys, const Log& log) {
  if (run.remote_only) return std::nullopt;
  WorkerOptions options = companion_worker(dispatcher, slots + waiting_tasks(run), log);
  options.keys = keys;
  if (!run.bind) options.gather = gather_time;
  if (run.pipe) options.credit_bytes = std::max(options.credit_bytes, 3 * slots * run.block_bytes);
  return options;
}

// One slot ends its commands in their order, and whoever asked for one expects to see them so; but reports of two that
// ended right behind each other come from two threads.
SinkOptions sink_options(const RunCommand& run, std::uint32_t slots, const Endpoint& dispatcher, const Keys& keys,
                         const Log& log) {
  SinkOptions options = companion_sink(dispatcher, log);
  options.keys = keys;
  options.ordered = run.keep_order || (slots == 1 && !run.bind);
  return options;
}

// Makes the folder in which commands run, and opens what is written beside stdout and stderr.
Result<RunOutputOptions> open_outputs(const RunCommand& run, const std::vector<std::string>& names) {
  if (!run.directory.empty()) {
    std::error_code error;
    std::filesystem::create_directories(run.directory, error);
    if (error) return Error{Code::unavailable, "cannot make the folder " + run.directory + ": " + error.message()};
  }
  RunOutputOptions output;
  output.spill = std::make_shared<SpillFile>(temporary_folder());
  if (!run.joblog.empty()) {
    Result<std::unique_ptr<JobLog>> log = JobLog::open(run.joblog, run.resume || run.resume_failed || run.retry_failed);
    if (!log) return log.error();
    output.joblog = std::move(*log);
  }
  if (!run.results.empty()) output.results = std::make_unique<ResultsFolder>(run.results, names);
  return output;
}

RunSummary summary_of(const RunCommand& run, const VentilatorReport& ended, std::vector<std::string> names) {
  RunSummary summary;
  summary.done = ended.status.audit.outcomes[static_cast<std::size_t>(Outcome::done)];
  summary.passed_over = ended.status.skipped;
  summary.duration = ended.duration;
  summary.requeued = ended.status.counters.requeued_tasks;
  summary.workers_lost = ended.status.counters.workers_lost;
  summary.options = run.kept_options;
  summary.command = run.command;
  summary.names = std::move(names);
  // A log knows the command's words, not what it reads nor which files go along.
  const bool log_has_all = !run.pipe && !run.arguments_to_input && run.transfer.empty() && run.bring_back.empty();
  if (run.joblog != "-" && log_has_all) summary.joblog = run.joblog;
  summary.arguments_known = !run.pipe && !run.retry_failed;
  summary.reads_blocks = run.pipe;
  return summary;
}

std::string how_to_help(const Endpoint& bound, bool has_keys) {
  return "other machines help with: ventile worker --exec '*' --connect " + bound.to_string() +
         (has_keys              ? " --keys DIR"
          : bound.is_loopback() ? ""
                                : " --insecure");
}

ExitCode exit_code_of(VentilatorEnding ending, bool any_failed) {
  switch (ending) {
    case VentilatorEnding::done:
      return any_failed ? ExitCode::task_failed : ExitCode::success;
    case VentilatorEnding::halted:
    case VentilatorEnding::drained:
      return ExitCode::ended_early;
    case VentilatorEnding::bad_input:
    case VentilatorEnding::failed:
      return ExitCode::task_failed;
    case VentilatorEnding::abandoned:
      return ExitCode::drain_deadline;
    case VentilatorEnding::finished_before:  // Of durable jobs only.
      break;
  }
  return ExitCode::internal;
}

int run_commands(const RunCommand& run) {
  const std::string program = "ventile run";
  const std::uint32_t wanted = *run_slots(run.slots, available_slots(Machine::here()).count);
  const std::uint64_t descriptors = descriptor_limit();
  const std::uint32_t slots = run.dry_run ? wanted : slots_within(wanted, descriptors);
  if (slots == 0)
    return say({ExitCode::usage,
                fmt::format("this process may have {} files open, and needs {}", descriptors, run_descriptors_min),
                "Raise the limit (ulimit -Hn) where it is set.", run.common.json},
               program);
  std::shared_ptr<const Zygote> zygote;
  if (!run.dry_run) {
    Result<Zygote> started = Zygote::start(zygote_options(run, slots));  // Before any thread.
    if (!started) return say({ExitCode::unreachable, started.error().message, {}, run.common.json}, program);
    zygote = std::make_shared<const Zygote>(std::move(*started));
  }
  Console console{console_options(program, run.common.quiet, run.common.verbose, run.common.json)};
  const auto fail = [&](ExitCode code, const std::string& why) {
    console.error(code, why);
    return to_int(code);
  };
  if (slots < wanted)
    console.write(Level::warning,
                  fmt::format("{} commands run at once, not {}: this process may have {} files open (ulimit -Hn)",
                              slots, wanted, descriptors));
  // Before signals are taken over: what waits for a terminal here ends by Ctrl-C as any program does.
  Result<Work> work = work_of(run, console);
  if (!work) return fail(ExitCode::usage, work.error().message);
  if (run.dry_run) {
    const Status shown = show_commands(*work);
    return shown ? to_int(ExitCode::success) : fail(ExitCode::task_failed, shown.error().message);
  }
  auto gate = std::make_shared<SlotGate>(local_gate_options(run, work->plan, slots));
  Ventilator* running = nullptr;
  RunKeys keys;
  SignalThread* deadlines = nullptr;
  std::atomic<ExitCode> stopped{ExitCode::success};
  Result<Signals> signals = Signals::listen({.drain =
                                                 [&](const std::string& message) {
                                                   gate->close();  // It is true by the time that it is said.
                                                   running->drain();
                                                   console.write(Level::warning, message);
                                                 },
                                             .cancel =
                                                 [&](ExitCode code) {
                                                   stopped = code;
                                                   running->cancel();
                                                   deadlines->call_after(cancel_timeout, [&] { running->leave(); });
                                                 },
                                             .reload =
                                                 [&] {
                                                   reload_keys(keys.dispatcher, console.log());
                                                   reload_keys(keys.sink, console.log());
                                                 }});
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_descriptor_limit();
  Result<RunKeys> opened = RunKeys::open(run.keys, run.strangers_max, console.log());
  if (!opened) return fail(ExitCode::usage, opened.error().message);
  keys = *std::move(opened);
  if (run.bind) warn_if_open(console, *run.bind, {run.keys, run.insecure});

  Result<RunOutputOptions> output = open_outputs(run, work->plan.names);
  if (!output) return fail(ExitCode::usage, output.error().message);
  output->luggage = work->luggage;
  TaskRegistry tasks;
  const CommandTaskServices services{zygote,
                                     gate,
                                     output->spill,
                                     std::make_shared<LiveOutput>(slots == 1),
                                     std::make_shared<TimeLimit>(run.timeout),
                                     std::make_shared<EarlyHalt>(run.halt, gate),
                                     run.retries,
                                     nullptr};
  work->task.lines_number_slots = starts_ahead(run);
  add_command_task(tasks, std::move(work->task), services);

  Context context{{}, console.log()};
  Watch watch{console, run, *gate, *services.halt};
  VentilatorOptions serving = ventilator_options(run, work->plan, slots, console);
  serving.keys = keys.dispatcher;
  Ventilator ventilator{context, std::move(serving), std::move(work->input), watch.callbacks()};
  running = &ventilator;
  const Result<Endpoint> bound = ventilator.bind();
  if (!bound) return fail(ExitCode::unreachable, bound.error().message);
  Companions companions{context, tasks, worker_options(run, *bound, slots, keys.worker, console.log()),
                        sink_options(run, slots, *bound, keys.sink, console.log()),
                        std::make_unique<RunOutput>(std::move(*output))};
  if (run.bind) console.write(Level::info, how_to_help(*bound, !run.keys.empty()));
  SignalThread signal_thread{std::move(*signals)};
  deadlines = &signal_thread;
  if (Status started = companions.start(); !started) return fail(ExitCode::unreachable, started.error().message);
  const Result<VentilatorReport> report = ventilator.run();
  gate->close();
  companions.finish(report, signal_thread);
  if (!report) return fail(ExitCode::unreachable, report.error().message);

  RunSummary summary = summary_of(run, *report, work->plan.names);
  watch.finish(summary);
  if (run.common.json)
    std::fprintf(stderr, "%s\n", summary_json(summary).c_str());
  else if (!run.common.quiet)
    std::fputs(summary_text(summary).c_str(), stderr);
  if (stopped != ExitCode::success) return to_int(stopped.load());
  const ExitCode code = exit_code_of(report->ending, summary.failures.count() > 0);
  const bool broken = report->ending == VentilatorEnding::bad_input || report->ending == VentilatorEnding::failed;
  if (broken) console.error(code, report->why);
  return to_int(code);
}

}  // namespace

int run_run(const Invocation& invocation) {
  const Parsed<RunCommand> parsed = parse_run_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, "ventile run");
  return run_commands(std::get<RunCommand>(parsed));
}

}  // namespace ventile
