// `ventile-worker --pattern pipeline`: a worker that is a stage.
#pragma once

#include <string>

#include <nodes/options.hpp>

namespace ventile {

int run_stage(const WorkerCommand& command, const std::string& program);  // Returns the exit code.

}  // namespace ventile
