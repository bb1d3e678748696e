// Where durable roles keep their journals: one folder each, below the one that the user names.
#pragma once

#include <string>

#include <nodes/exit_code.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// Of what kept a role from beginning: its journal, or its address.
constexpr ExitCode exit_code_of(Code code) {
  if (code == Code::invalid) return ExitCode::usage;
  return code == Code::corrupt ? ExitCode::task_failed : ExitCode::unreachable;
}

// Makes `folder` if it is not there and returns the path of the role's own folder below it (which the role makes).
// Code::invalid if `name` cannot be part of a file's name.
Result<std::string> durable_folder(const std::string& folder, const std::string& name);

}  // namespace ventile
