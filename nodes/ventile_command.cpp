// `ventile`: the one command in front of the nodes.
#include <nodes/node.hpp>

#include <array>
#include <cstdio>
#include <string_view>

#include <nodes/console.hpp>
#include <nodes/options.hpp>
#include <nodes/versions.hpp>

namespace ventile {
namespace {

struct Command {
  std::string_view name;
  std::string_view help;
  int (*run)(const Invocation&);
};

bool asks_for_help(const Invocation& invocation) {
  return !invocation.options.empty() && (invocation.options.front() == "--help" || invocation.options.front() == "-h");
}

int show_version(const Invocation& invocation) {
  if (asks_for_help(invocation))
    return say({ExitCode::success, "usage: ventile version [--json]\n", {}, false}, "ventile version");
  const bool json = invocation.options == std::vector<std::string>{"--json"};
  if (!json && !invocation.options.empty())
    return say(
        {ExitCode::usage, "unknown option " + invocation.options.front(), "usage: ventile version [--json]", false},
        "ventile version");
  if (json) {
    std::printf(R"({"schema":1,"version":"%s","protocol":%s,"libzmq":"%s"})"
                "\n",
                versions().program.c_str(), versions().protocol.c_str(), versions().libzmq.c_str());
    return to_int(ExitCode::success);
  }
  std::printf("ventile %s\nprotocol %s\nlibzmq %s\n", versions().program.c_str(), versions().protocol.c_str(),
              versions().libzmq.c_str());
  return to_int(ExitCode::success);
}

int show_settings(const Invocation& invocation) {
  constexpr std::string_view usage =
      "usage: ventile config show [--origin] ventilator|worker|sink|broker|up|map [OPTION…]";
  if (asks_for_help(invocation))
    return say({ExitCode::success, std::string{usage} + "\n", {}, false}, "ventile config");
  std::vector<std::string> rest = invocation.options;
  if (rest.empty() || rest.front() != "show")
    return say({ExitCode::usage, "expected 'show'", std::string{usage}, false}, "ventile config");
  rest.erase(rest.begin());
  const bool with_origin = !rest.empty() && rest.front() == "--origin";
  if (with_origin) rest.erase(rest.begin());
  if (rest.empty()) return say({ExitCode::usage, "expected a role", std::string{usage}, false}, "ventile config");
  const std::string role = rest.front();
  rest.erase(rest.begin());
  const Parsed<std::string> shown = show_config(role, rest, Surroundings::of_process(versions()), with_origin);
  if (const auto* exit = std::get_if<ExitNow>(&shown)) return say(*exit, "ventile config");
  std::fputs(std::get<std::string>(shown).c_str(), stdout);
  return to_int(ExitCode::success);
}

const std::array<Command, 18>& commands() {
  static const std::array<Command, 18> all{{
      {"run", "run a command for every argument: GNU Parallel's job", run_run},
      {"map", "run a function over an input, here or on a broker's workers", run_map},
      {"up", "start a broker and workers on this machine", run_up},
      {"ventilator", "turn an input into tasks for workers", run_ventilator},
      {"worker", "run tasks for a ventilator or a broker", run_worker},
      {"sink", "collect the results", run_sink},
      {"broker", "hand the tasks of many clients to many workers", run_broker},
      {"status", "show a broker's clients, jobs and workers", run_status},
      {"why", "say why a job, or a task of it, is not done", run_why},
      {"cancel", "give up a job of a broker, and what is kept of it", run_cancel},
      {"drain", "let a worker finish what it runs, and leave", run_drain},
      {"health", "say whether a role is well: for a container's health check", run_health},
      {"bench", "measure this machine, or a broker's workers", run_bench},
      {"keygen", "make keys, with which a fabric may stand on a network", run_keygen},
      {"keys", "list or revoke keys, or have them read again", run_keys},
      {"journal", "inspect, verify or repair what a durable role keeps", run_journal},
      {"config", "show the settings in effect and where they come from", show_settings},
      {"version", "show the versions of program, protocol and libzmq", show_version},
  }};
  return all;
}

std::string help() {
  std::string text = "usage: ventile COMMAND [OPTION…]\n\n";
  for (const Command& command : commands()) {
    std::string name{command.name};
    name.resize(12, ' ');
    text += "  " + name + std::string{command.help} + "\n";
  }
  return text + "\n`ventile COMMAND --help` says more.\n";
}

}  // namespace

int run_ventile(const Invocation& invocation) {
  const std::string name = invocation.options.empty() ? "" : invocation.options.front();
  if (name == "--version") return show_version({});
  if (name == "--help" || name == "-h" || name == "help") return say({ExitCode::success, help(), {}, false}, "ventile");
  for (const Command& command : commands()) {
    if (command.name != name) continue;
    Invocation inner{invocation.program, {invocation.options.begin() + 1, invocation.options.end()}};
    inner.program.push_back(name);
    return command.run(inner);
  }
  return say(
      {ExitCode::usage, name.empty() ? "expected a command" : "there is no command '" + name + "'", help(), false},
      "ventile");
}

}  // namespace ventile
