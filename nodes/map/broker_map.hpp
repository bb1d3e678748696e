// `ventile map --connect`: the function runs on a broker's workers, and everything else is as on this machine.
#pragma once

#include <string>

#include <nodes/job_run.hpp>
#include <nodes/options.hpp>

namespace ventile {

// `command.connect` is set. Returns the exit code.
int map_at_broker(const MapCommand& command, JobCommand job, const std::string& program);

}  // namespace ventile
