#include <nodes/run/command_plan.hpp>

#include <chrono>
#include <fstream>
#include <utility>

namespace ventile {
namespace {

// Bytes that the system could give to new processes now.
std::uint64_t available_memory() {
  std::ifstream file{"/proc/meminfo"};
  std::string name;
  std::uint64_t kilobytes = 0;
  for (std::string unit; file >> name >> kilobytes; std::getline(file, unit))
    if (name == "MemAvailable:") return kilobytes * 1024;
  return UINT64_MAX;
}

}  // namespace

std::vector<std::byte> pack_plan(const CommandPlan& plan) {
  const Buffer packed = pack_to_buffer(plan);
  return {packed.data(), packed.data() + packed.size()};
}

Result<CommandPlan> unpack_plan(Bytes constants) {
  // The format comes first in every format, so that a reader of another one can say what is wrong.
  Unpacker unpacker{constants};
  std::uint32_t entries = 0;
  std::uint32_t format = 0;
  if (!unpacker.read_array(entries) || entries == 0 || !unpack_value(unpacker, format))
    return Error{Code::invalid, "what was sent is no plan for commands"};
  if (format != command_plan_format)
    return Error{Code::invalid, "the run is of another release (plan " + std::to_string(format) + ", here " +
                                    std::to_string(command_plan_format) + "); run the same release on both sides"};
  Result<CommandPlan> plan = unpack_from<CommandPlan>(constants);
  if (plan)
    if (Status limit = TimeLimit::check(plan->timeout); !limit) return limit.error();
  return plan;
}

Result<CommandTaskOptions> task_options(const CommandPlan& plan) {
  CommandTaskOptions options;
  Result<CommandTemplate> command =
      CommandTemplate::parse(plan.words, {plan.replacement, plan.names, plan.append, plan.shell});
  if (!command) return command.error();
  options.command = std::move(*command);
  options.before = plan.before;
  if (!plan.tag.empty()) {
    Result<CommandTemplate> tag = CommandTemplate::parse({plan.tag}, {"{}", plan.names, false, false});
    if (!tag) return tag.error();
    options.tag = std::move(*tag);
  }
  options.directory = plan.directory;
  options.nice = plan.nice;
  options.reports_command = plan.reports_command;
  options.reports_arguments = plan.reports_arguments;
  options.arguments_to_input = plan.arguments_to_input;
  for (const Variable& variable : plan.environment) options.environment.emplace_back(variable.name, variable.value);
  return options;
}

SlotGateOptions gate_options(const CommandPlan& plan, std::uint32_t slots, bool in_order) {
  SlotGateOptions options;
  options.slots = slots;
  options.delay = std::chrono::nanoseconds{plan.delay_nanoseconds};
  options.in_order = in_order;
  if (plan.memory_free > 0) options.has_room = [least = plan.memory_free] { return available_memory() >= least; };
  return options;
}

}  // namespace ventile
