// The function `run`: a task that is a command made from a template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nodes/run/early_halt.hpp>
#include <nodes/run/live_output.hpp>
#include <nodes/run/slot_gate.hpp>
#include <nodes/run/spill.hpp>
#include <nodes/run/task_report.hpp>
#include <nodes/run/template.hpp>
#include <nodes/run/time_limit.hpp>
#include <ventile/task/context.hpp>
#include <ventile/task/process.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/task/zygote.hpp>

namespace ventile {

enum class OutputMode : std::uint8_t {
  grouped,  // Travels with the result, to be written as one piece.
  lines,    // Written line by line as it comes.
  direct,   // The command has this process's own stdout and stderr.
};

struct CommandTaskOptions {
  CommandTemplate command;
  std::vector<std::string> before;  // Words in front of all: none, or what a line of the input is run with.
  CommandTemplate tag;              // Empty: no tags.
  std::string directory;
  int nice = 0;
  OutputMode output = OutputMode::grouped;
  bool reports_command = false;
  bool reports_arguments = false;
  bool lines_number_slots = false;  // Which slot runs it is known only by the zygote's line, whose number it is.
  bool arguments_to_input = false;  // The arguments are what the command reads, not words of its own.
  bool says_commands = false;       // On stderr, before each starts.
  std::vector<std::pair<std::string, std::string>> environment;
  // Where the outputs travel to another machine: the name of this one, and how much may be written on each stream. Then
  // what is in the spill file is put into the report.
  std::string host;
  std::uint64_t output_bytes_max = UINT64_MAX;
};

// What all tasks of a run share.
struct CommandTaskServices {
  std::shared_ptr<const Zygote> zygote;
  std::shared_ptr<SlotGate> gate;
  std::shared_ptr<SpillFile> spill;
  std::shared_ptr<LiveOutput> live;
  std::shared_ptr<TimeLimit> time_limit;
  std::shared_ptr<EarlyHalt> halt;
  std::uint32_t tries_max = 1;
  std::shared_ptr<Guests> guests;  // Null on the machine where the files are.
};

// The commands of one run. Its payload is a RunInput, its result a RunReport, which is the detail of its failure as
// well. It ends its command, with all of its group, when its time is over or it is told to stop. The message of a
// failure is one line that says how the command ended, then the last lines that it wrote on stderr.
//
// Called by many threads at once.
class CommandTask {
public:
  CommandTask(CommandTaskOptions options, CommandTaskServices services)
      : options_(std::move(options)), services_(std::move(services)) {}

  RunReport operator()(TaskContext context, Bytes payload) const;  // Throws TaskFailure.

private:
  class Pass;

  CommandTaskOptions options_;
  CommandTaskServices services_;

  RunReport visit(const TaskContext& context, RunInput input, const Pass& pass) const;
  RunReport run(const TaskContext& context, RunInput& input, const Pass& pass) const;
  Command command_for(const TaskContext& context, RunInput& input, TaskPlace place) const;
  void check(const ProcessOutcome& outcome, const std::string& tail, RunReport& report) const;
};

// Registers `run`, not repeatable, for a worker in the process that reads the arguments and writes the outputs.
void add_command_task(TaskRegistry& tasks, CommandTaskOptions options, CommandTaskServices services);

}  // namespace ventile
