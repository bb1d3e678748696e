// What all commands of a run have in common: from the command line of `ventile run` to every slot that runs one, also
// on other machines, where it arrives as the constants of the job.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <nodes/run/command_task.hpp>
#include <ventile/base/result.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {

// Counts the changes of CommandPlan, RunInput and RunReport: both sides must have the same.
inline constexpr std::uint32_t command_plan_format = 1;

// A variable for the commands, with its value.
struct Variable {
  std::string name;
  std::string value;

  static auto fields(auto& self) { return std::tie(self.name, self.value); }
  bool operator==(const Variable&) const = default;
};

struct CommandPlan {
  std::uint32_t format = command_plan_format;
  std::vector<std::string> words;   // Of the template.
  std::vector<std::string> before;  // In front of them.
  std::string replacement = "{}";
  std::vector<std::string> names;  // Of the arguments.
  bool append = true;
  bool shell = false;
  std::string tag;        // A template; empty: no tags.
  std::string directory;  // Relative to where the worker was started; empty: there.
  std::int32_t nice = 0;
  std::string timeout;  // TimeLimit's text.
  std::uint32_t tries_max = 1;
  bool reports_command = false;
  bool reports_arguments = false;
  bool arguments_to_input = false;
  std::uint64_t delay_nanoseconds = 0;  // Between two starts on one machine.
  std::uint64_t memory_free = 0;        // Bytes that must be available before a start; 0: any.
  std::vector<Variable> environment;    // Beside that of the worker.
  std::vector<std::string> bring_back;  // Templates of the files that a task makes.
  bool cleanup = false;                 // Remove what came and what was made.

  static auto fields(auto& self) {
    return std::tie(self.format, self.words, self.before, self.replacement, self.names, self.append, self.shell,
                    self.tag, self.directory, self.nice, self.timeout, self.tries_max, self.reports_command,
                    self.reports_arguments, self.arguments_to_input, self.delay_nanoseconds, self.memory_free,
                    self.environment, self.bring_back, self.cleanup);
  }
  bool operator==(const CommandPlan&) const = default;
};

// As the constants of a job: one value.
std::vector<std::byte> pack_plan(const CommandPlan& plan);
// Code::invalid with the reason; another format is one.
Result<CommandPlan> unpack_plan(Bytes constants);

// Code::invalid if the command or the tag is no template.
Result<CommandTaskOptions> task_options(const CommandPlan& plan);

// The gate of one machine's slots. `in_order`: it sees every task of the run.
SlotGateOptions gate_options(const CommandPlan& plan, std::uint32_t slots, bool in_order);

}  // namespace ventile
