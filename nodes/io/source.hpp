// What an input is, so that it can be told from another one of the same name.
#pragma once

#include <string>

#include <nodes/format.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/job_journal.hpp>

namespace ventile {

// Looks at `path`, or standard input for "-", without moving what is read from it. Code::unavailable if it cannot be
// looked at.
Result<JobSource> describe_source(const std::string& path, InputFormat format);

}  // namespace ventile
