#include "tests/simulation/planted.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <exception>

#include <ventile/base/planted.hpp>

#include "tests/simulation/clients.hpp"
#include "tests/simulation/kept.hpp"
#include "tests/simulation/pipeline.hpp"

namespace ventile {
namespace {

thread_local const char* planted_now = nullptr;  // Each thread of ventile-simulate runs its own simulation.

}  // namespace

bool planted(const char* name) { return planted_now != nullptr && std::strcmp(planted_now, name) == 0; }

}  // namespace ventile

namespace ventile::simulation {
namespace {

std::optional<std::string> run(Setting setting, std::uint64_t seed, std::ostream* trace) {
  try {
    simulate(setting, seed, trace);
  } catch (const std::exception& violation) {
    return violation.what();
  }
  return std::nullopt;
}

// In a process of its own: a decider gone wrong may fail an assertion, never come back, or worse.
std::optional<std::string> run_apart(const char* fault, Setting setting, std::uint64_t seed, std::ostream* trace) {
  constexpr unsigned seconds_max = 60;
  int ends[2];
  require(::pipe(ends) == 0, "there is no pipe");
  const pid_t child = ::fork();
  require(child >= 0, "there is no process");
  if (child == 0) {
    ::alarm(seconds_max);
    if (const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
    planted_now = fault;
    const std::string wrong = run(setting, seed, trace).value_or("");
    if (trace != nullptr) trace->flush();
    const bool told = ::write(ends[1], wrong.data(), wrong.size()) == static_cast<ssize_t>(wrong.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string wrong;
  char piece[256];
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) > 0;)
    wrong.append(piece, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return std::string{"it ended by itself: "} + ::strsignal(WTERMSIG(status));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "it ended by itself";
  return wrong.empty() ? std::nullopt : std::optional{wrong};
}

Report report_of(const ClientsOutcome& outcome) {
  Report report;
  report.tasks = outcome.tasks;
  report.faults = outcome.faults;
  report.restarts = outcome.restarts;
  report.duplicates = outcome.duplicates;
  return report;
}

// Nothing kills the stages but chance, so that nothing may be given up.
Report report_of(const PipelineOutcome& outcome) {
  require(outcome.done == outcome.tasks, "a stream has given up what could be done");
  Report report;
  report.tasks = outcome.tasks;
  report.faults = report.deaths = outcome.kills;
  report.duplicates = outcome.duplicates;
  return report;
}

}  // namespace

std::string to_string(Setting setting) {
  switch (setting) {
    case Setting::fabric:
      return "fabric";
    case Setting::clients:
      return "clients";
    case Setting::kept:
      return "kept";
    case Setting::pipeline:
      return "pipeline";
  }
  return {};
}

Report simulate(Setting setting, std::uint64_t seed, std::ostream* trace) {
  if (setting == Setting::fabric) return Simulation{seed, trace}.run();
  if (setting == Setting::clients) return report_of(simulate_clients(seed, trace));
  if (setting == Setting::kept) return report_of(simulate_kept(seed, trace));
  return report_of(simulate_pipeline(seed, false, trace));
}

std::optional<std::string> wrong_with(const char* fault, Setting setting, std::uint64_t seed, std::ostream* trace) {
  return fault == nullptr ? run(setting, seed, trace) : run_apart(fault, setting, seed, trace);
}

}  // namespace ventile::simulation
