// `ventile status`, `why`, `cancel`, `drain` and `health`: questions to a broker, the last one to a ventilator as
// well, or to the file in which a worker or a sink says how it is.
#include <nodes/node.hpp>

#include <charconv>
#include <cstdio>
#include <numeric>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <nodes/console.hpp>
#include <nodes/options.hpp>
#include <nodes/pulse.hpp>
#include <nodes/reach.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/client.hpp>
#include <ventile/queue/refusals.hpp>

namespace ventile {
namespace {

// What came of a question: nobody answered, or one who does not want us, or here it is.
enum class Response : std::uint8_t { silent, refused, answers };

struct Finding {
  Response response = Response::silent;
  std::string why;  // It refused.
  std::optional<Message> answer;
};

// Asks one question or, without one, only whether a session can be had.
Finding ask(const AskCommand& command, const Keys& keys, const std::optional<Message>& question, const Log& log) {
  Context context{{}, log};
  Reactor reactor;
  ClientOptions options;
  options.connect = command.connect;
  options.keys = keys;
  options.log = Log{[log](Level level, std::string_view line) {
    if (level != Level::error) log.write(level, line);  // Errors are the last words.
  }};
  Client client{context, reactor, std::move(options)};
  Finding finding;
  if (Status started = client.start(); !started) return {Response::silent, started.error().message, {}};
  const auto leave = [&] {
    finding.response = Response::answers;
    client.leave([&reactor] { reactor.stop(); });
  };
  client.on_left([&](const std::string& why) {
    finding = {Response::refused, why, {}};
    reactor.stop();
  });
  if (question)
    client.ask(*question, [&](const Message& said) {
      finding.answer = said;
      leave();
    });
  reactor.on_turn_end([&] {
    client.on_turn_end();
    if (!question && finding.response == Response::silent && client.connected()) leave();
  });
  reactor.call_at(reactor.now() + command.patience, [&reactor] { reactor.stop(); });
  reactor.run();
  return finding;
}

// Those of an admin, a client or, beside it, of the dispatcher itself.
Result<Keys> keys_to_ask(const AskCommand& command, Console& console) {
  warn_if_open(console, command.connect, {command.keys, command.insecure});
  return open_keys(command.keys, {KeyRole::admin, KeyRole::client, KeyRole::dispatcher}, console.log());
}

std::string plural(std::uint64_t count, const std::string& word) {
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

std::string audit_of(const JobState& job) {
  std::string text = "submitted " + std::to_string(job.submitted) + " = queued " + std::to_string(job.queued) +
                     " + delayed " + std::to_string(job.delayed) + " + leased " + std::to_string(job.leased) +
                     " + awaiting " + std::to_string(job.awaiting);
  for (std::size_t i = 0; i < outcome_count; ++i)
    if (i == 0 || job.outcomes[i] > 0)
      text += " + " + std::string{to_string(static_cast<Outcome>(i))} + " " + std::to_string(job.outcomes[i]);
  return text;
}

std::string kept_of(const JobState& job) {
  const std::uint64_t results = std::accumulate(job.outcomes.begin(), job.outcomes.end(), std::uint64_t{0});
  return plural(results, "result") + ", " + plural(job.kept_bytes, "byte") +
         (job.complete && results == job.submitted ? "; all there" : "");
}

void print_text(const Report& report) {
  const RefusalCounts refused{report.refused};
  std::printf("%s, %s, %s; %s over, %s refused%s\n", plural(report.clients.size(), "client").c_str(),
              plural(report.jobs.size(), "job").c_str(), plural(report.workers.size(), "worker").c_str(),
              plural(report.jobs_closed, "job").c_str(), plural(refused.total(), "message").c_str(),
              refused.total() > 0 ? (" (" + refused.to_text() + ")").c_str() : "");
  for (const ClientState& client : report.clients)
    std::printf("client %s: %s%s\n", client.name.c_str(), plural(client.jobs, "job").c_str(),
                client.connected ? "" : ", gone");
  for (const JobState& job : report.jobs) {
    const std::string name = job.name.empty() ? std::string{} : " '" + job.name + "'";
    std::printf("job %s%s (%s) of %s: %s\n", to_string(job.job).substr(0, 8).c_str(), name.c_str(),
                job.function.c_str(), job.client.c_str(), audit_of(job).c_str());
    if (job.kept) std::printf("  kept: %s\n", kept_of(job).c_str());
    if (!job.waiting_for.empty()) std::printf("  waits: %s\n", job.waiting_for.c_str());
  }
  for (const WorkerState& worker : report.workers) {
    std::printf("worker %s: %s, %s leased, %llu finished%s\n", worker.name.c_str(),
                plural(worker.slots, "slot").c_str(), plural(worker.leased, "task").c_str(),
                static_cast<unsigned long long>(worker.finished), worker.leaving ? ", leaving" : "");
    for (const Milestone& milestone : worker.milestones)
      std::printf("  task %s:%llu is at %s\n", to_string(milestone.job).substr(0, 8).c_str(),
                  static_cast<unsigned long long>(milestone.task), to_text(milestone).c_str());
  }
}

nlohmann::json outcomes_json(const std::array<std::uint64_t, outcome_count>& outcomes) {
  nlohmann::json json;
  for (std::size_t i = 0; i < outcome_count; ++i) json[std::string{to_string(static_cast<Outcome>(i))}] = outcomes[i];
  return json;
}

nlohmann::json milestones_json(const std::vector<Milestone>& milestones) {
  nlohmann::json json = nlohmann::json::array();
  for (const Milestone& milestone : milestones)
    json.push_back({{"job", to_string(milestone.job)},
                    {"task", milestone.task},
                    {"fraction", milestone.permille / 1000.0},
                    {"message", milestone.text}});
  return json;
}

nlohmann::json refusals_json(const RefusalCounts& refused) {
  nlohmann::json json;
  for (std::size_t i = 0; i < refusal_reasons; ++i) json[RefusalCounts::key(i)] = refused.by_reason().at(i);
  return json;
}

void print_json(const Report& report) {
  nlohmann::json json{{"schema", 1},
                      {"clients", nlohmann::json::array()},
                      {"jobs", nlohmann::json::array()},
                      {"workers", nlohmann::json::array()},
                      {"jobs_closed", report.jobs_closed},
                      {"outcomes_closed", outcomes_json(report.outcomes)},
                      {"messages_refused", RefusalCounts{report.refused}.total()},
                      {"refusals", refusals_json(RefusalCounts{report.refused})}};
  for (const ClientState& client : report.clients)
    json["clients"].push_back({{"name", client.name},
                               {"connected", client.connected},
                               {"jobs", client.jobs},
                               {"silent_seconds", static_cast<double>(client.silent_milliseconds) / 1000}});
  for (const JobState& job : report.jobs)
    json["jobs"].push_back({{"job", to_string(job.job)},
                            {"name", job.name},
                            {"function", job.function},
                            {"client", job.client},
                            {"priority", job.priority},
                            {"submitted", job.submitted},
                            {"queued", job.queued},
                            {"delayed", job.delayed},
                            {"leased", job.leased},
                            {"awaiting", job.awaiting},
                            {"outcomes", outcomes_json(job.outcomes)},
                            {"complete", job.complete},
                            {"waiting_for", job.waiting_for},
                            {"kept", job.kept},
                            {"kept_bytes", job.kept_bytes}});
  for (const WorkerState& worker : report.workers)
    json["workers"].push_back({{"name", worker.name},
                               {"slots", worker.slots},
                               {"leased", worker.leased},
                               {"finished", worker.finished},
                               {"silent_seconds", static_cast<double>(worker.silent_milliseconds) / 1000},
                               {"leaving", worker.leaving},
                               {"milestones", milestones_json(worker.milestones)}});
  std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

// JOB or JOB:TASK.
Explain question_of(const std::string& text) {
  Explain explain{text, false, 0};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return explain;
  Number task = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, task);
  return error == std::errc{} && rest == end ? Explain{text.substr(0, colon), true, task} : explain;
}

int run_question(const std::string& name, const Invocation& invocation, const std::string& argument_name) {
  const std::string program = "ventile " + name;
  std::vector<std::string> options = invocation.options;
  std::string argument;
  if (!argument_name.empty() && !options.empty() && !options.front().starts_with('-')) {
    argument = options.front();
    options.erase(options.begin());
  }
  const Parsed<AskCommand> parsed = parse_ask_options(options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) {
    const bool names_all = exit->hint.starts_with("Try '");  // The four commands have one help.
    return say({exit->code, exit->text, names_all ? "Try '" + program + " --help'." : exit->hint, exit->json}, program);
  }
  const AskCommand& command = std::get<AskCommand>(parsed);
  if (!argument_name.empty() && argument.empty())
    return say({ExitCode::usage, "expected a " + argument_name,
                "usage: " + program + " " + argument_name + " [OPTION…]", command.common.json},
               program);
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const Message question = name == "status"   ? Message{Inquire{}}
                           : name == "why"    ? Message{question_of(argument)}
                           : name == "cancel" ? Message{Discard{argument}}
                                              : Message{Drain{argument}};
  const Result<Keys> keys = keys_to_ask(command, console);
  if (!keys) {
    console.error(ExitCode::usage, keys.error().message);
    return to_int(ExitCode::usage);
  }
  const Finding finding = ask(command, *keys, question, console.log());
  if (finding.response == Response::refused) {
    console.error(ExitCode::mismatch, finding.why);
    return to_int(ExitCode::mismatch);
  }
  if (!finding.answer) {
    console.error(
        ExitCode::unreachable,
        "no broker answers at " + command.connect.to_string() + (finding.why.empty() ? "" : ": " + finding.why),
        "Start one with `ventile broker`, or name its address with --connect.");
    return to_int(ExitCode::unreachable);
  }
  const std::optional<Message>& answer = finding.answer;
  if (const auto* report = std::get_if<Report>(&*answer)) {
    command.common.json ? print_json(*report) : print_text(*report);
    return to_int(ExitCode::success);
  }
  const auto& explanation = std::get<Explanation>(*answer);
  if (!explanation.found) {
    console.error(ExitCode::usage, explanation.text, "`ventile status` shows what there is.");
    return to_int(ExitCode::usage);
  }
  if (command.common.json)
    std::printf("%s\n", nlohmann::json{{"schema", 1}, {"text", explanation.text}}.dump().c_str());
  else
    std::printf("%s\n", explanation.text.c_str());
  return to_int(ExitCode::success);
}

int ask_for_health(const HealthCommand& command, Console& console) {
  const std::string address = command.connect.to_string();
  const Result<Keys> keys = keys_to_ask(command, console);
  if (!keys) {
    console.error(ExitCode::usage, keys.error().message);
    return to_int(ExitCode::usage);
  }
  const Finding finding = ask(command, *keys, std::nullopt, console.log());
  switch (finding.response) {
    case Response::silent:
      console.error(
          ExitCode::unreachable,
          "neither a broker nor a ventilator answers at " + address + (finding.why.empty() ? "" : ": " + finding.why),
          "Name its address with --connect, or give it more time with --patience.");
      return to_int(ExitCode::unreachable);
    case Response::refused:
      console.error(ExitCode::mismatch, finding.why);
      return to_int(ExitCode::mismatch);
    case Response::answers:
      break;
  }
  if (command.common.json)
    std::printf("%s\n", nlohmann::json{{"schema", 1}, {"healthy", true}, {"address", address}}.dump().c_str());
  else
    std::printf("%s answers\n", address.c_str());
  return to_int(ExitCode::success);
}

int feel_pulse(const HealthCommand& command, Console& console) {
  const Result<Beat> beat = read_pulse(command.pulse);
  const std::string why =
      beat ? illness_of(*beat, command.alive, command.patience, Clock::now()) : beat.error().message;
  if (!why.empty()) {
    console.error(ExitCode::unreachable, why);
    return to_int(ExitCode::unreachable);
  }
  if (command.common.json)
    std::printf("%s\n", nlohmann::json{{"schema", 1}, {"healthy", true}, {"serving", beat->serving}}.dump().c_str());
  else
    std::printf("%s\n", beat->serving ? "serving" : "alive");
  return to_int(ExitCode::success);
}

}  // namespace

int run_health(const Invocation& invocation) {
  const std::string program = "ventile health";
  const Parsed<HealthCommand> parsed = parse_health_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  const HealthCommand& command = std::get<HealthCommand>(parsed);
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  return command.pulse.empty() ? ask_for_health(command, console) : feel_pulse(command, console);
}

int run_status(const Invocation& invocation) { return run_question("status", invocation, {}); }
int run_why(const Invocation& invocation) { return run_question("why", invocation, "JOB[:TASK]"); }
int run_cancel(const Invocation& invocation) { return run_question("cancel", invocation, "JOB"); }
int run_drain(const Invocation& invocation) { return run_question("drain", invocation, "WORKER"); }

}  // namespace ventile
