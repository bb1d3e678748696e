// What a task that did not end well throws where its result is asked for.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <ventile/wire/outcome.hpp>

namespace ventile {

// Where and why a task failed, in parts, and as a sentence in what().
struct TaskReport {
  Outcome outcome = Outcome::failed;
  std::string kind;         // The type of what the task threw, or "timeout", "arguments", "cancelled", "expired", …
  std::string message;      // What it said.
  std::string function;     // The name of the task.
  std::string worker;       // Who ran it; empty if nobody did.
  std::uint32_t tries = 0;  // How often it was tried; 0 if it never ran.
};

class TaskError : public std::runtime_error {
public:
  explicit TaskError(TaskReport report);

  Outcome outcome() const { return report_.outcome; }
  const std::string& kind() const { return report_.kind; }
  const std::string& message() const { return report_.message; }
  const std::string& function() const { return report_.function; }
  const std::string& worker() const { return report_.worker; }
  std::uint32_t tries() const { return report_.tries; }

private:
  TaskReport report_;
};

}  // namespace ventile
