#include <nodes/role_tables.hpp>

#include <limits>

#include <nodes/run/run_command.hpp>

namespace ventile {
namespace {

constexpr std::uint32_t slots_max = 4096;
constexpr std::uint32_t any_count = std::numeric_limits<std::uint32_t>::max();
constexpr Duration shortest = std::chrono::milliseconds{1};

void add_common(OptionTable& table, CommonOptions& common) {
  table.section("Common");
  table.text("config", "FILE", common.config, "Read this configuration file in place of the usual three.");
  table.flag("quiet,q", common.quiet, "Say only warnings and errors.");
  table.flag("verbose,v", common.verbose, "Say everything.");
  table.flag("json", common.json, "Print summaries and errors as JSON.");
}

void add_protection(OptionTable& table, std::string& keys, bool& insecure) {
  table.text("keys", "DIR", keys, "Keys made by `ventile keygen`: all of them, or the folder of this role.");
  table.flag("insecure", insecure, "Allow addresses that other machines can reach, without keys.");
}

void add_pattern(OptionTable& table, Pattern& pattern, std::string_view help) {
  table.choice("pattern", pattern, {{"queue", Pattern::queue}, {"pipeline", Pattern::pipeline}}, help);
}

template <class Options>
void add_input(OptionTable& table, Options& options) {
  table.text("input,i", "FILE", options.input, "Where tasks come from; - is standard input.");
  table.choice("format", options.format,
               {{"lines", InputFormat::lines},
                {"nul", InputFormat::nul},
                {"jsonl", InputFormat::jsonl},
                {"msgpack", InputFormat::msgpack}},
               "How the input is split into tasks.");
  table.range("range", options.range, "Tasks are the numbers A, A+STEP, … below B, in place of an input.");
  table.flag("skip-bad", options.skip_bad, "Pass over malformed input and count it, instead of ending.");
}

template <class Options>
void add_work(OptionTable& table, Options& options) {
  table.text("function,f", "NAME", options.function, "The function that runs each task.");
  table.json_array("args", options.args, "Arguments before each task's own.");
}

void add_failure(OptionTable& table, FailureOptions& failure) {
  table.duration("timeout", failure.timeout, shortest, "A task that runs longer fails.");
  table.integer("retries", failure.retries, 1, 1'000'000, "Tries per task, the first one included.");
  table.halt("halt", failure.halt,
             "End the job early: never, or soon or now with fail, success or done = N or N%, such as soon,fail=3%.");
  table.text("failed", "FILE", failure.failed, "Write the inputs of failed tasks here, to run them again.");
  table.choice("on-lost", failure.on_lost, {{"rerun", OnLost::rerun}, {"fail", OnLost::fail}},
               "A command, or a function that is not repeatable, that was with a worker that is lost: run it again, or "
               "never.");
}

void add_output(OptionTable& table, std::string& output, std::string_view format_name, OutputFormat& format) {
  table.text("output,o", "FILE", output, "Where results go; - is standard output.");
  table.choice(format_name, format,
               {{"jsonl", OutputFormat::jsonl}, {"msgpack", OutputFormat::msgpack}, {"raw", OutputFormat::raw}},
               "How a result is written.");
}

void add_plugins(OptionTable& table, std::vector<std::string>& plugins) {
  table.texts("plugin", "FILE", plugins,
              "Load functions from this shared library, or from all .so files of a folder; may be given again.");
}

void add_exec(OptionTable& table, std::string& exec) {
  table.text("exec", "'CMD {}'", exec, "The command that the function exec runs; {} is the task's text.");
}

void add_slots(OptionTable& table, std::optional<std::uint32_t>& slots) {
  table.integer("slots,j", slots, 1, slots_max, "Tasks that run at once; else as many as there are processors for us.");
}

void add_isolation(OptionTable& table, SlotChoice& isolation) {
  table.choice("isolation", isolation.kind, {{"thread", SlotKind::thread}, {"process", SlotKind::process}},
               "What a slot is; a process may crash and harms no other.");
  table.size("slot-memory", isolation.memory_bytes_max, 0, "Of a process, beyond what it begins with; 0 for no limit.");
}

void add_drain_timeout(OptionTable& table, Duration& timeout) {
  table.duration("drain-timeout", timeout, Duration::zero(), "How long running tasks may finish after a first Ctrl-C.");
}

void add_bar(OptionTable& table, std::optional<bool>& bar) {
  table.flag("bar", bar, "Show progress even off a terminal, or with --no-bar never.");
}

void add_metrics(OptionTable& table, std::string& metrics) {
  table.text("metrics", "FILE", metrics, "Keep its figures here, for Prometheus' textfile collector.");
}

void add_frames(OptionTable& table, std::uint64_t& frame_bytes_max, bool& shared_memory) {
  table.size("frame-bytes-max", frame_bytes_max, 4096, "The largest frame accepted from a peer.");
  table.flag("shared-memory", shared_memory, "Send large messages to processes of this machine through sockets, too.");
}

void add_strangers_max(OptionTable& table, std::uint32_t& strangers_max) {
  table.integer("strangers-max", strangers_max, 1, any_count,
                "With --keys: connections that may wait to be let in; then the oldest goes.");
}

void add_key_limits(OptionTable& table, KeyLimitOptions& limits) {
  table.integer("key-sessions-max", limits.sessions_max, 1, any_count, "Sessions of all who have the same key.");
  table.integer("key-slots-max", limits.slots_max, 1, any_count, "Slots of all workers that have the same key.");
}

void add_broker_journal(OptionTable& table, BrokerCommand& options) {
  table.text("durable", "DIR", options.durable, "Survive a kill: the same command goes on from here.");
  table.size("keep-bytes", options.keep_bytes, 1,
             "With --durable: how much is kept of results; then workers get no more of kept jobs.");
  table.duration("keep-for", options.keep_for, shortest, "How long results are kept that nobody fetches.");
}

void add_serving(OptionTable& table, BrokerCommand& options) {
  add_metrics(table, options.metrics);
  add_frames(table, options.frame_bytes_max, options.shared_memory);
  add_strangers_max(table, options.strangers_max);
  add_key_limits(table, options.key_limits);
  table.duration("heartbeat", options.timings.heartbeat, shortest, "Between two signs of life of a worker.");
  table.duration("lease", options.timings.lease, shortest, "How long a batch may stand still before it is given away.");
}

void add_pulse(OptionTable& table, std::string& pulse) {
  table.text("pulse", "FILE", pulse, "Write a sign of life here every second, for `ventile health --pulse`.");
}

template <class Options>
void add_keys(KnownKeys& known, const std::string& role) {
  Options options;
  const OptionTable table = table_of(options);
  for (const Option& option : table.options()) {
    if (option.name == "config") continue;
    known[role].insert(option.name);
    known[""].insert(option.name);
  }
}

}  // namespace

OptionTable table_of(VentilatorCommand& options) {
  OptionTable table{"ventile-ventilator", "Turns input into tasks and hands them to workers."};
  table.section("Address");
  table.endpoint("bind,b", options.bind, "Where workers and sinks connect.");
  add_pattern(table, options.pattern, "How tasks travel: on credit, or down a stream that workers pull from.");
  table.endpoint("stream-bind", options.stream_bind,
                 "Of a pipeline: where its stream is; else on any port beside --bind.");
  add_protection(table, options.keys, options.insecure);
  table.section("Tasks");
  add_work(table, options);
  add_input(table, options);
  table.text("job", "NAME", options.job, "What the job is called in logs and reports.");
  table.text("durable", "DIR", options.durable, "Survive a kill: the same command goes on with --job from here.");
  table.section("Failures and limits");
  add_failure(table, options.failure);
  table.integer("max-crashes", options.max_crashes, 1, 1000, "A task that killed as many workers is given up.");
  table.flag("speculate", options.speculate, "Never run a second copy of a straggler.");
  table.duration("job-timeout", options.job_timeout, shortest,
                 "End the whole job after this time, with exit code 124.");
  add_drain_timeout(table, options.drain_timeout);
  table.section("Advanced");
  add_frames(table, options.frame_bytes_max, options.shared_memory);
  add_strangers_max(table, options.strangers_max);
  add_key_limits(table, options.key_limits);
  table.size("window-bytes", options.window_bytes, 4096, "Input read ahead of what is settled.");
  table.duration("heartbeat", options.timings.heartbeat, shortest, "Between two signs of life of a worker.");
  table.duration("lease", options.timings.lease, shortest, "How long a batch may stand still before it is given away.");
  add_metrics(table, options.metrics);
  add_common(table, options.common);
  add_bar(table, options.bar);
  return table;
}

OptionTable table_of(WorkerCommand& options) {
  OptionTable table{"ventile-worker", "Runs tasks for the dispatcher at --connect."};
  table.section("Address");
  table.endpoint("connect,c", options.connect, "The dispatcher's address.");
  add_pattern(table, options.pattern, "That of the ventilator.");
  add_protection(table, options.keys, options.insecure);
  table.section("Tasks");
  add_slots(table, options.slots);
  add_isolation(table, options.isolation);
  add_plugins(table, options.plugins);
  table.text("exec", "'CMD {}'", options.exec,
             "What the function exec runs, {} is the task's text; * : what `ventile run` sends.");
  table.text("user", "NAME", options.command_limits.user, "Run commands as this user; for workers of root.");
  table.texts("limit", "WHAT=N", options.command_limits.limits,
              "Of each command's processes: cpu=10s, memory=1GB, files=256, processes=100, file-size=1GB.");
  table.flag("once", options.once, "Leave after the first job.");
  add_drain_timeout(table, options.drain_timeout);
  table.section("Advanced");
  add_pulse(table, options.pulse);
  table.size("kept-bytes-max", options.kept_bytes_max, 4096, "Results kept until they are acknowledged.");
  table.integer("credit-tasks", options.credit_tasks, 1, any_count, "Tasks that may be on their way to this worker.");
  table.size("credit-bytes", options.credit_bytes, 4096, "Bytes of tasks that may be on their way to this worker.");
  add_frames(table, options.frame_bytes_max, options.shared_memory);
  add_common(table, options.common);
  return table;
}

OptionTable table_of(SinkCommand& options) {
  OptionTable table{"ventile-sink", "Collects the results of a job."};
  table.section("Address");
  table.endpoint("connect,c", options.connect, "The dispatcher's address.");
  table.endpoint("bind,b", options.bind, "Where workers send results; else the interface that leads to --connect.");
  table.endpoint("advertise", options.advertise, "The address by which workers reach --bind.");
  add_pattern(table, options.pattern, "That of the ventilator; a sink is the same in both.");
  add_protection(table, options.keys, options.insecure);
  table.section("Results");
  add_output(table, options.output, "format", options.format);
  table.escaped_text("separator", options.separator, R"(What follows each raw value; knows \n, \t, \0 and \\.)");
  table.flag("ordered", options.ordered, "Write results in the order of their tasks.");
  table.text("fold", "NAME", options.fold, "Combine all results into one with this function.");
  add_plugins(table, options.plugins);
  table.flag("stay", options.stay, "Do not end with the job: wait for the next one.");
  table.flag("resume", options.resume, "Add to an output file that is not empty.");
  table.text("durable", "DIR", options.durable, "Survive a kill: the same command goes on from here.");
  add_drain_timeout(table, options.drain_timeout);
  table.section("Advanced");
  add_pulse(table, options.pulse);
  add_frames(table, options.frame_bytes_max, options.shared_memory);
  add_strangers_max(table, options.strangers_max);
  table.size("window-bytes", options.window_bytes, 4096, "Results held while they wait for their turn.");
  add_common(table, options.common);
  return table;
}

OptionTable table_of(BrokerCommand& options) {
  OptionTable table{"ventile-broker", "Hands the tasks of many clients to many workers."};
  table.section("Address");
  table.endpoint("bind,b", options.bind, "Where clients and workers connect.");
  add_protection(table, options.keys, options.insecure);
  table.section("Jobs");
  add_broker_journal(table, options);
  table.section("Advanced");
  add_serving(table, options);
  add_common(table, options.common);
  return table;
}

OptionTable table_of(UpCommand& options) {
  OptionTable table{"ventile up", "Starts a broker and workers on this machine, until it is told to stop."};
  table.section("Address");
  table.endpoint("bind,b", options.broker.bind, "Where clients, and workers from elsewhere, connect.");
  add_protection(table, options.broker.keys, options.broker.insecure);
  table.section("Workers");
  table.integer("workers,w", options.workers, 1, 10'000, "Processes; else as many as give every processor a slot.");
  table.integer("slots,j", options.slots, 1, slots_max, "Tasks that each of them runs at once; else an equal share.");
  add_isolation(table, options.isolation);
  add_plugins(table, options.plugins);
  add_exec(table, options.exec);
  add_drain_timeout(table, options.drain_timeout);
  table.section("Jobs");
  add_broker_journal(table, options.broker);
  table.section("Advanced");
  add_serving(table, options.broker);
  add_common(table, options.broker.common);
  return table;
}

OptionTable table_of(AskCommand& options) {
  OptionTable table{"ventile status | why JOB[:TASK] | cancel JOB | drain WORKER", "Asks the broker at --connect."};
  table.section("Address");
  table.endpoint("connect,c", options.connect, "The broker's address.");
  add_protection(table, options.keys, options.insecure);
  table.duration("patience", options.patience, shortest, "How long to wait for an answer.");
  add_common(table, options.common);
  return table;
}

OptionTable table_of(HealthCommand& options) {
  OptionTable table{"ventile health",
                    "Asks the broker or ventilator at --connect whether it answers, or looks whether "
                    "the worker or sink that writes --pulse is well."};
  table.section("Address");
  table.endpoint("connect,c", options.connect, "The broker's or ventilator's address.");
  add_protection(table, options.keys, options.insecure);
  table.text("pulse", "FILE", options.pulse, "Ask nobody: read the sign of life that a worker or sink writes here.");
  table.flag("alive", options.alive, "With --pulse: be content with one that waits for its dispatcher.");
  table.duration("patience", options.patience, shortest,
                 "How long to wait for an answer, or how old a sign of life may be.");
  add_common(table, options.common);
  return table;
}

OptionTable table_of(BenchCommand& options) {
  OptionTable table{"ventile bench throughput|latency|overhead",
                    "Measures this machine, or a broker's workers, by the calls that every program can make. "
                    "throughput: echoes per second. latency: one echo at a time. overhead: which part of the slots' "
                    "time is useful when tasks take 4 ms, 2 ms, 1 ms and so on."};
  table.section("Where");
  table.choice("transport", options.transport,
               {{"inproc", Transport::inproc}, {"ipc", Transport::ipc}, {"tcp", Transport::tcp}},
               "Threads of one process, or a broker and workers as processes of this machine.");
  table.integer("workers,w", options.workers, 1, 10'000, "Threads, or workers with one slot each.");
  table.endpoint("connect,c", options.connect, "A broker; its workers are measured as they are.");
  add_protection(table, options.keys, options.insecure);
  table.section("What");
  table.size("bytes", options.bytes, 0, "Of each text that is echoed.");
  table.integer("tasks", options.tasks, 1, 4'000'000'000, "End after so many (overhead: of each length).");
  table.duration("seconds", options.seconds, shortest, "End after so long (overhead: about, for each length).");
  add_common(table, options.common);
  return table;
}

OptionTable table_of(MapCommand& options) {
  OptionTable table{"ventile map",
                    "Runs a function over an input, all in one process or, with --connect, on a broker's workers."};
  table.section("Where");
  table.endpoint("connect,c", options.connect, "A broker, whose workers have the function; else this process has it.");
  table.duration("connect-timeout", options.connect_timeout, shortest,
                 "How long to wait until the broker answers at first; else for ever.");
  add_protection(table, options.keys, options.insecure);
  table.section("Tasks");
  add_work(table, options);
  add_input(table, options);
  table.text("job", "NAME", options.job, "What the job is called in logs and reports.");
  add_slots(table, options.slots);
  add_isolation(table, options.isolation);
  add_plugins(table, options.plugins);
  add_exec(table, options.exec);
  table.section("Results");
  add_output(table, options.output, "output-format", options.output_format);
  table.flag("keep", options.keep, "Let the broker keep them until they are fetched; Ctrl-C leaves the job to it.");
  table.text("fetch", "NAME", options.fetch, "Write those of the job of this name that the broker keeps, and end it.");
  table.flag("ordered", options.ordered, "Write results as they come, not in the order of their tasks.");
  table.text("fold", "NAME", options.fold, "Combine all results into one with this function.");
  table.section("Failures and limits");
  add_failure(table, options.failure);
  table.section("Advanced");
  table.choice("transport", options.transport,
               {{"inproc", Transport::inproc}, {"ipc", Transport::ipc}, {"tcp", Transport::tcp}},
               "What carries messages between the roles.");
  add_metrics(table, options.metrics);
  add_common(table, options.common);
  add_bar(table, options.bar);
  return table;
}

KnownKeys known_keys() {
  KnownKeys known;
  add_keys<VentilatorCommand>(known, "ventilator");
  add_keys<WorkerCommand>(known, "worker");
  add_keys<SinkCommand>(known, "sink");
  add_keys<BrokerCommand>(known, "broker");
  add_keys<UpCommand>(known, "up");
  add_keys<AskCommand>(known, "ask");
  add_keys<HealthCommand>(known, "ask");
  add_keys<BenchCommand>(known, "bench");
  add_keys<MapCommand>(known, "map");
  add_keys<RunCommand>(known, "run");
  return known;
}

}  // namespace ventile
