#include <nodes/serving.hpp>

#include <nodes/durable.hpp>

namespace ventile {

Result<BrokerOptions> broker_options(const BrokerCommand& command, const Keys& keys, const Log& log) {
  BrokerOptions options;
  options.bind = command.bind;
  options.keys = keys;
  options.dispatcher.heartbeat = command.timings.heartbeat;
  options.dispatcher.lease = command.timings.lease;
  options.dispatcher.kept_for = command.keep_for;
  options.dispatcher.key_limits = {command.key_limits.sessions_max, command.key_limits.slots_max};
  options.keep_bytes = command.keep_bytes;
  options.frame_bytes_max = command.frame_bytes_max;
  options.log = log;
  if (command.durable.empty()) return options;
  Result<std::string> folder = durable_folder(command.durable, "broker");
  if (!folder) return folder.error();
  options.durable = *std::move(folder);
  return options;
}

std::string farewell(const Report& report, bool durable) {
  std::uint64_t open = 0;
  for (const JobState& job : report.jobs) open += job.queued + job.delayed + job.leased + job.awaiting;
  if (open == 0) return "stopping; nothing is open";
  return "stopping; " + std::to_string(open) + (open == 1 ? " task is" : " tasks are") +
         (durable ? " open, and on the disk: start the broker again to go on"
                  : " open, and will be submitted again by their clients when a broker is back");
}

}  // namespace ventile
