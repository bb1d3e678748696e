#include <nodes/options.hpp>

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <nodes/reach.hpp>
#include <nodes/role_tables.hpp>

namespace ventile {
namespace {

using Settings = std::vector<Setting>;
using Objection = std::optional<ExitNow>;

ExitNow wrong(std::string text, std::string hint = "") {
  return {ExitCode::usage, std::move(text), std::move(hint), false};
}

// nullptr if the option has its default.
const Setting* given(const Settings& settings, std::string_view name) {
  const auto found = std::find_if(settings.begin(), settings.end(), [&](const Setting& setting) {
    return setting.name == name && !setting.is_default();
  });
  return found == settings.end() ? nullptr : &*found;
}

// "--range", or "range (./ventile.toml:3)" for what the command line does not show.
std::string with_origin(const Setting& setting) {
  return setting.origin.starts_with("--") ? setting.origin : fmt::format("{} ({})", setting.name, setting.origin);
}

Objection check_together(const Settings& settings, std::string_view one, std::string_view other) {
  const Setting* const first = given(settings, one);
  const Setting* const second = given(settings, other);
  if (first == nullptr || second == nullptr) return std::nullopt;
  return wrong(fmt::format("{} and {} exclude each other", with_origin(*first), with_origin(*second)));
}

Objection check_common(const CommonOptions& common) {
  if (common.quiet && common.verbose) return wrong("--quiet and --verbose exclude each other");
  return std::nullopt;
}

template <class Options>
Protection protection_of(const Options& options) {
  return {options.keys, options.insecure};
}

// A pipeline runs every task once, as far as it knows, and again whenever it does not know.
Objection check_pipeline(const VentilatorCommand& options, const Settings& settings) {
  if (options.pattern != Pattern::pipeline) {
    if (given(settings, "stream-bind") != nullptr) return wrong("--stream-bind is for --pattern pipeline only");
    return std::nullopt;
  }
  if (options.function == "exec")
    return wrong("--pattern pipeline may run a task twice, and commands must not be run twice",
                 "Leave --pattern out, or name another --function.");
  if (options.failure.retries > 1) return wrong("--retries and --pattern pipeline exclude each other");
  return options.stream_bind ? check_reach("stream-bind", *options.stream_bind, protection_of(options)) : std::nullopt;
}

Objection check(VentilatorCommand& options, const Settings& settings) {
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  if (auto objection = check_together(settings, "input", "range")) return objection;
  if (!options.durable.empty() && options.job.empty())
    return wrong("--durable needs a name", "Add --job NAME, by which the job is found again.");
  if (auto objection = check_reach("bind", options.bind, protection_of(options))) return objection;
  return check_pipeline(options, settings);
}

Objection check(WorkerCommand& options, const Settings& settings) {
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  if (options.pattern == Pattern::pipeline && !options.exec.empty())
    return wrong("--exec and --pattern pipeline exclude each other: commands must not be run twice");
  const bool confines = !options.command_limits.user.empty() || !options.command_limits.limits.empty();
  if (confines && options.exec.empty()) return wrong("--user and --limit are for commands: name one with --exec");
  return check_reach("connect", options.connect, protection_of(options));
}

Objection check(SinkCommand& options, const Settings& settings) {
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  if (options.ordered && !options.fold.empty()) return wrong("--ordered and --fold exclude each other");
  if (given(settings, "separator") != nullptr && options.format != OutputFormat::raw) {
    return wrong("--separator is for --format raw only");
  }
  if (auto objection = check_reach("connect", options.connect, protection_of(options))) return objection;
  return options.bind ? check_reach("bind", *options.bind, protection_of(options)) : std::nullopt;
}

Objection check(BrokerCommand& options, const Settings& settings) {
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  return check_reach("bind", options.bind, protection_of(options));
}

Objection check(UpCommand& options, const Settings& settings) { return check(options.broker, settings); }

Objection check(AskCommand& options, const Settings& settings) {
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  return check_reach("connect", options.connect, protection_of(options));
}

Objection check(HealthCommand& options, const Settings& settings) {
  if (options.alive && options.pulse.empty()) return wrong("--alive is for --pulse only");
  if (!options.pulse.empty()) return check_common(options.common);
  return check(static_cast<AskCommand&>(options), settings);
}

Objection check(BenchCommand& options, const Settings& settings) {
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  for (const std::string_view other : {"transport", "workers"})
    if (auto objection = check_together(settings, "connect", other)) return objection;
  if (auto objection = check_together(settings, "tasks", "seconds")) return objection;
  return options.connect ? check_reach("connect", *options.connect, protection_of(options)) : std::nullopt;
}

// What belongs to workers, and what a client cannot do. Of a configuration file or the environment it is meant for
// others, and passed over.
Objection check_remote(const MapCommand& options, const Settings& settings) {
  for (const std::string_view other : {"exec", "isolation", "slot-memory", "slots", "transport"}) {
    const Setting* const setting = given(settings, other);
    if (setting == nullptr || !setting->origin.starts_with("--")) continue;
    if (auto objection = check_together(settings, other, "connect")) {
      objection->hint = "Give it to the broker's workers: ventile up, or ventile worker.";
      return objection;
    }
  }
  if (options.failure.halt && options.failure.halt->when == HaltRule::When::soon)
    return wrong("--halt soon and --connect exclude each other: a client does not know what has begun",
                 "Say --halt now,… to stop what runs as well.");
  if (auto objection = check_together(settings, "keys", "insecure")) return objection;
  return check_reach("connect", *options.connect, protection_of(options));
}

// Who keeps or fetches results leaves the job to the broker: what the client would have to do for it is not done.
Objection check_keeping(const MapCommand& options, const Settings& settings) {
  if (!options.keep && options.fetch.empty()) return std::nullopt;
  const std::string_view what = options.keep ? "keep" : "fetch";
  if (!options.connect) return wrong(fmt::format("--{} needs --connect", what), "It is a broker that keeps results.");
  if (options.keep && options.job.empty())
    return wrong("--keep needs a name", "Add --job NAME, by which the results are fetched.");
  for (const std::string_view other : {"halt", "failed"})
    if (auto objection = check_together(settings, what, other)) return objection;
  if (options.keep) return check_together(settings, "keep", "fetch");
  for (const std::string_view other : {"function", "args", "input", "range", "job", "timeout", "retries", "on-lost"})
    if (auto objection = check_together(settings, "fetch", other)) return objection;
  return std::nullopt;
}

Objection check(MapCommand& options, const Settings& settings) {
  if (const Setting* const timeout = given(settings, "connect-timeout");
      timeout != nullptr && timeout->origin.starts_with("--") && !options.connect)
    return wrong("--connect-timeout needs --connect", "It is a broker that may be waited for.");
  if (options.connect)
    if (auto objection = check_remote(options, settings)) return objection;
  if (auto objection = check_keeping(options, settings)) return objection;
  if (auto objection = check_common(options.common)) return objection;
  if (auto objection = check_together(settings, "input", "range")) return objection;
  if (options.function.empty() && !options.exec.empty()) options.function = "exec";
  if (options.function.empty() && options.fetch.empty()) {
    return wrong("--function is missing", "Name what runs each task, such as --function sha256 or --exec 'gzip {}'.");
  }
  if (options.fold.empty()) return std::nullopt;
  if (options.ordered && given(settings, "ordered") != nullptr) return wrong("--ordered and --fold exclude each other");
  options.ordered = false;
  return std::nullopt;
}

// Options and how they came about.
template <class Options>
struct Filled {
  Options options;
  Settings settings;
};

template <class Options>
Parsed<Filled<Options>> fill(const std::string& role, const std::vector<std::string>& arguments,
                             const Surroundings& around) {
  Filled<Options> filled;
  auto resolved = resolve(table_of(filled.options), role, known_keys(), arguments, around);
  if (auto* settings = std::get_if<Settings>(&resolved)) {
    filled.settings = std::move(*settings);
    auto objection = check(filled.options, filled.settings);
    if (!objection) return filled;
    resolved = *std::move(objection);
  }
  auto& exit = std::get<ExitNow>(resolved);
  exit.json = exit.code != ExitCode::success && wants_json(arguments, around);
  return std::move(exit);
}

template <class Options>
Parsed<Options> parse(const std::string& role, const std::vector<std::string>& arguments, const Surroundings& around) {
  auto filled = fill<Options>(role, arguments, around);
  if (auto* exit = std::get_if<ExitNow>(&filled)) return std::move(*exit);
  return std::move(std::get<Filled<Options>>(filled).options);
}

// A value as TOML: a number or a switch as it is, anything else as a string.
std::string toml_text(const std::string& value) {
  const bool is_bare = value == "true" || value == "false" ||
                       (!value.empty() && value.size() < 16 &&
                        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; }));
  return is_bare ? value : nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string toml_line(const Setting& setting) {
  if (setting.shape == Option::Shape::repeated) {
    std::vector<std::string> texts(setting.values.size());
    std::transform(setting.values.begin(), setting.values.end(), texts.begin(), toml_text);
    return fmt::format("{} = [{}]", setting.name, fmt::join(texts, ", "));
  }
  if (setting.values.empty()) return fmt::format("# {} is not set", setting.name);
  return fmt::format("{} = {}", setting.name, toml_text(setting.values.front()));
}

template <class Options>
Parsed<std::string> show(const std::string& role, const std::vector<std::string>& arguments, const Surroundings& around,
                         bool with_origin) {
  auto filled = fill<Options>(role, arguments, around);
  if (auto* exit = std::get_if<ExitNow>(&filled)) return std::move(*exit);
  std::string text = fmt::format("[{}]\n", role);
  for (const Setting& setting : std::get<Filled<Options>>(filled).settings) {
    const std::string line = toml_line(setting);
    text += with_origin ? fmt::format("{:<40} # {}\n", line, setting.origin) : line + '\n';
  }
  return text;
}

}  // namespace

Parsed<VentilatorCommand> parse_ventilator_options(const std::vector<std::string>& arguments,
                                                   const Surroundings& around) {
  return parse<VentilatorCommand>("ventilator", arguments, around);
}

Parsed<WorkerCommand> parse_worker_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<WorkerCommand>("worker", arguments, around);
}

Parsed<SinkCommand> parse_sink_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<SinkCommand>("sink", arguments, around);
}

Parsed<BrokerCommand> parse_broker_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<BrokerCommand>("broker", arguments, around);
}

Parsed<UpCommand> parse_up_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<UpCommand>("up", arguments, around);
}

Parsed<AskCommand> parse_ask_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<AskCommand>("ask", arguments, around);
}

Parsed<HealthCommand> parse_health_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<HealthCommand>("ask", arguments, around);
}

Parsed<BenchCommand> parse_bench_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<BenchCommand>("bench", arguments, around);
}

Parsed<MapCommand> parse_map_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  return parse<MapCommand>("map", arguments, around);
}

Parsed<std::string> show_config(const std::string& role, const std::vector<std::string>& arguments,
                                const Surroundings& around, bool with_origin) {
  if (role == "ventilator") return show<VentilatorCommand>(role, arguments, around, with_origin);
  if (role == "worker") return show<WorkerCommand>(role, arguments, around, with_origin);
  if (role == "sink") return show<SinkCommand>(role, arguments, around, with_origin);
  if (role == "broker") return show<BrokerCommand>(role, arguments, around, with_origin);
  if (role == "up") return show<UpCommand>(role, arguments, around, with_origin);
  if (role == "map") return show<MapCommand>(role, arguments, around, with_origin);
  return wrong(fmt::format("unknown role \"{}\"; expected ventilator, worker, sink, broker, up or map", role));
}

}  // namespace ventile
