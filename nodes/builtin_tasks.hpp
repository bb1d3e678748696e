// The functions and folds that every worker knows. They look at their first values and ignore any others.
//
//   echo      its input: one value as it is, several as an array
//   index     its integer
//   sleep     waits so many seconds, unless it is told to stop; heeds its time-out by itself
//   spin      keeps the processor busy for so many microseconds, whatever it is told
//   sha256    of a string or binary, as 64 hexadecimal digits
//   fail      fails, with its string as the message if it has one
//   crash     ends the whole process with SIGABRT
//
//   sum, min, max   of numbers: integers as long as they fit, else reals
//   count           of tasks, whatever their results
#pragma once

#include <ventile/task/registry.hpp>

namespace ventile {

void add_builtin_tasks(TaskRegistry& tasks);

}  // namespace ventile
