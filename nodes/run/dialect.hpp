// The command line of `ventile run`: GNU Parallel's, as far as it goes.
#pragma once

#include <string>
#include <vector>

#include <nodes/exit_code.hpp>
#include <nodes/run/run_command.hpp>
#include <nodes/settings.hpp>

namespace ventile {

// A command line in its three parts.
struct RunLine {
  std::vector<std::string> options;  // "--name" or "--name=value", under the names of table_of(RunCommand&).
  std::vector<std::string> command;
  std::vector<SourceSpec> sources;
};

// Options come first: the first word that is none begins the command, and ":::" and its like end it. `--` ends the
// options, too. Other names of GNU Parallel for the same thing are understood ("--jobs", "-P", "--lb"); an option that
// only it has is an error that names what comes nearest.
Parsed<RunLine> split_run_line(const std::vector<std::string>& arguments);

// `arguments` are those after "run".
Parsed<RunCommand> parse_run_options(const std::vector<std::string>& arguments, const Surroundings& around);

// The help, on one screen.
std::string run_help();

// How many commands run at once: "4", "50%", "+2", "-1" of `processors`; "0": many.
inline constexpr std::uint32_t run_slots_max = 1024;
Result<std::uint32_t> run_slots(const std::string& text, std::uint32_t processors);

// How many of `wanted` can run at once if this process may have so many descriptors: 0 if not even one.
std::uint32_t slots_within(std::uint32_t wanted, std::uint64_t descriptors);
// With so few, one command runs. (Of short ones some that have ended still have theirs.)
inline constexpr std::uint64_t run_descriptors_min = 176;
inline constexpr std::uint64_t run_descriptors_each = 8;  // Of a command: seven, and one while it begins or ends.

}  // namespace ventile
