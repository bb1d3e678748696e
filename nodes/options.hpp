// What each role can be told, and how: command line, then environment, then configuration files, then these defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nodes/exit_code.hpp>
#include <nodes/format.hpp>
#include <nodes/halt.hpp>
#include <nodes/quantity.hpp>
#include <nodes/settings.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/queue/on_lost.hpp>

namespace ventile {

inline constexpr std::uint16_t dispatcher_port = 5570;

// An address on this machine that nobody else can reach.
inline Endpoint loopback_endpoint(std::uint16_t port) { return {Transport::tcp, "127.0.0.1", port}; }

struct CommonOptions {
  std::string config;    // Read in place of the usual files; empty: the usual files.
  bool quiet = false;    // Warnings and errors only.
  bool verbose = false;  // Everything.
  bool json = false;     // Summaries and errors as JSON.
};

// What happens to tasks that fail or take too long.
struct FailureOptions {
  std::optional<Duration> timeout;  // Per task.
  std::uint32_t retries = 1;        // Tries in all.
  std::optional<HaltRule> halt;
  std::string failed;  // A file for the inputs of failed tasks; empty: none.
  OnLost on_lost = OnLost::rerun;
};

// How the dispatcher finds out that a worker is gone.
struct DispatcherTimings {
  Duration heartbeat = std::chrono::milliseconds{500};
  Duration lease = std::chrono::seconds{3};
};

// What all peers with the same key may have at once.
struct KeyLimitOptions {
  std::uint32_t sessions_max = 20'000;
  std::uint32_t slots_max = 200'000;  // Of workers.
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct VentilatorCommand {
  CommonOptions common;
  Endpoint bind = loopback_endpoint(dispatcher_port);
  Pattern pattern = Pattern::queue;
  std::optional<Endpoint> stream_bind;  // Of a pipeline; unset: any port beside `bind`.
  std::string keys;                     // A folder; empty: none.
  bool insecure = false;
  bool shared_memory = true;  // Between processes of one machine, for large messages.
  std::string function = "exec";
  std::string args = "[]";  // A JSON array: arguments before each task's own.
  std::string input = "-";
  InputFormat format = InputFormat::lines;
  std::optional<IndexRange> range;  // In place of an input.
  bool skip_bad = false;
  std::string job;      // What it is called.
  std::string durable;  // A folder for the job's journal; empty: none.
  FailureOptions failure;
  std::string metrics;  // A file for the job's metrics; empty: none.
  std::uint32_t max_crashes = 3;
  bool speculate = true;
  std::optional<bool> bar;  // Unset: if there is a terminal.
  std::optional<Duration> job_timeout;
  Duration drain_timeout = std::chrono::seconds{30};
  std::uint64_t frame_bytes_max = 2 << 20;
  std::uint32_t strangers_max = 16;       // With keys, at each tcp address, before they are let in.
  std::uint64_t window_bytes = 16 << 20;  // Of input read and not yet settled.
  DispatcherTimings timings;
  KeyLimitOptions key_limits;
};

enum class SlotKind : std::uint8_t { thread, process };

// What runs the functions of plugins.
struct SlotChoice {
  SlotKind kind = SlotKind::thread;
  std::uint64_t memory_bytes_max = 0;  // Of a process, beyond what it begins with; 0: no limit.
};

// Whom the commands of a worker run as, and what each process of theirs may use: "cpu=10s", "memory=1GB".
struct CommandLimits {
  std::string user;  // Empty: ours.
  std::vector<std::string> limits;
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct WorkerCommand {
  CommonOptions common;
  Endpoint connect = loopback_endpoint(dispatcher_port);
  Pattern pattern = Pattern::queue;
  std::string keys;  // A folder; empty: none.
  bool insecure = false;
  bool shared_memory = true;           // Between processes of one machine, for large messages.
  std::optional<std::uint32_t> slots;  // Unset: what the machine gives.
  SlotChoice isolation;
  std::vector<std::string> plugins;
  std::string exec;  // "CMD {}"; empty: none.
  CommandLimits command_limits;
  bool once = false;  // Leave after the first job.
  std::string pulse;  // A file for its sign of life; empty: none.
  Duration drain_timeout = std::chrono::seconds{30};
  std::uint64_t kept_bytes_max = 256 << 20;  // Of results that wait for their acknowledgement.
  std::uint32_t credit_tasks = 4'000'000'000;
  std::uint64_t credit_bytes = 64 << 20;
  std::uint64_t frame_bytes_max = 2 << 20;
};

// In the order of the help.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct SinkCommand {
  CommonOptions common;
  Endpoint connect = loopback_endpoint(dispatcher_port);
  std::optional<Endpoint> bind;  // Unset: the interface by which the dispatcher is reached.
  std::optional<Endpoint> advertise;
  Pattern pattern = Pattern::queue;  // A sink is the same in both.
  std::string keys;                  // A folder; empty: none.
  bool insecure = false;
  bool shared_memory = true;  // Between processes of one machine, for large messages.
  std::string output = "-";
  OutputFormat format = OutputFormat::jsonl;
  std::string separator = "\n";  // After each raw value.
  bool ordered = false;
  std::string fold;  // A function's name; empty: none.
  std::vector<std::string> plugins;
  bool stay = false;  // Do not end with the job.
  bool resume = false;
  std::string durable;  // A folder for the sink's journal; empty: none.
  std::string pulse;    // A file for its sign of life; empty: none.
  Duration drain_timeout = std::chrono::seconds{30};
  std::uint64_t frame_bytes_max = 2 << 20;
  std::uint32_t strangers_max = 16;       // With keys, at each tcp address, before they are let in.
  std::uint64_t window_bytes = 64 << 20;  // Of results that wait for their turn.
};

struct BrokerCommand {
  CommonOptions common;
  Endpoint bind = loopback_endpoint(dispatcher_port);
  std::string keys;  // A folder; empty: none.
  bool insecure = false;
  bool shared_memory = true;                           // Between processes of one machine, for large messages.
  std::string durable;                                 // A folder for the journal of clients' jobs; empty: none.
  std::uint64_t keep_bytes = std::uint64_t{10} << 30;  // Of kept results.
  Duration keep_for = std::chrono::hours{24 * 7};      // Those that nobody fetches.
  std::uint64_t frame_bytes_max = 2 << 20;
  std::uint32_t strangers_max = 16;  // With keys, at each tcp address, before they are let in.
  DispatcherTimings timings;
  KeyLimitOptions key_limits;
  std::string metrics;  // A file for its figures; empty: none.
};

// A broker and workers on this machine: `ventile up`.
struct UpCommand {
  BrokerCommand broker;
  std::optional<std::uint32_t> workers;  // Unset: as many as make up what the machine gives.
  std::optional<std::uint32_t> slots;    // Of each; unset: its share of what the machine gives, at least one.
  SlotChoice isolation;
  std::vector<std::string> plugins;
  std::string exec;
  Duration drain_timeout = std::chrono::seconds{30};
};

// A question to a broker: `ventile status`, `why`, `cancel` and `drain`.
struct AskCommand {
  CommonOptions common;
  Endpoint connect = loopback_endpoint(dispatcher_port);
  std::string keys;  // A folder; empty: none.
  bool insecure = false;
  Duration patience = std::chrono::seconds{3};
};

// `ventile health`: a question to a broker or a ventilator, or a look at the sign of life of a worker or a sink.
struct HealthCommand : AskCommand {
  std::string pulse;   // A file; empty: --connect is asked.
  bool alive = false;  // It may wait for its dispatcher.
};

// `ventile bench`.
struct BenchCommand {
  CommonOptions common;
  Transport transport = Transport::inproc;
  std::optional<Endpoint> connect;  // In place of processes of its own.
  std::string keys;                 // A folder; empty: none.
  bool insecure = false;
  std::optional<std::uint32_t> workers;
  std::uint64_t bytes = 32;
  std::optional<std::uint32_t> tasks;  // Unset: `seconds` decides.
  Duration seconds = std::chrono::seconds{3};
};

// All roles in one process, or a client of a broker: `ventile map`.
struct MapCommand {
  CommonOptions common;
  std::optional<Endpoint> connect;  // A broker, whose workers run the function.
  std::string function;
  std::string args = "[]";
  std::string input = "-";
  InputFormat format = InputFormat::jsonl;
  std::optional<IndexRange> range;
  std::optional<Duration> connect_timeout;  // To wait for the broker; none: for ever.
  std::string keys;                         // A folder; empty: none.
  bool insecure = false;
  bool skip_bad = false;
  std::string job;    // What it is called.
  bool keep = false;  // The broker keeps its results.
  std::string fetch;  // The name of a kept job, whose results are wanted in place of those of a new one.
  std::string output = "-";
  OutputFormat output_format = OutputFormat::jsonl;
  bool ordered = true;  // False if there is a fold.
  Transport transport = Transport::inproc;
  std::string fold;
  std::optional<std::uint32_t> slots;
  SlotChoice isolation;
  std::vector<std::string> plugins;
  std::string exec;
  FailureOptions failure;
  std::string metrics;  // A file for the job's metrics; empty: none.
  std::optional<bool> bar;
};

// `arguments` are those after the program's name.
Parsed<VentilatorCommand> parse_ventilator_options(const std::vector<std::string>& arguments,
                                                   const Surroundings& around);
Parsed<WorkerCommand> parse_worker_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<SinkCommand> parse_sink_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<BrokerCommand> parse_broker_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<UpCommand> parse_up_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<AskCommand> parse_ask_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<HealthCommand> parse_health_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<BenchCommand> parse_bench_options(const std::vector<std::string>& arguments, const Surroundings& around);
Parsed<MapCommand> parse_map_options(const std::vector<std::string>& arguments, const Surroundings& around);

// `config show`: the settings in effect for "ventilator", "worker", "sink", "broker", "up" or "map", as a configuration
// file that would bring them about, with each value's origin if asked.
Parsed<std::string> show_config(const std::string& role, const std::vector<std::string>& arguments,
                                const Surroundings& around, bool with_origin);

}  // namespace ventile
