// A command line taken apart by a table of options, and the help that the table makes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nodes/exit_code.hpp>
#include <nodes/option_table.hpp>

namespace ventile {

struct CommandLine {
  bool help = false;
  bool version = false;
  // By option name, in the order given; "true" or "false" for a flag.
  std::map<std::string, std::vector<std::string>> values;
};

// Only takes the line apart: values are not read yet. Errors name the option and, for a misspelt one, the nearest.
Parsed<CommandLine> read_command_line(const OptionTable& table, const std::vector<std::string>& arguments);

// Fits 80 columns.
std::string help_text(const OptionTable& table);

}  // namespace ventile
