// Fills a table of options from the best source that has each:
// command line > environment > ./ventile.toml > ~/.config/ventile/config.toml > /etc/ventile/config.toml > default.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nodes/config.hpp>
#include <nodes/exit_code.hpp>
#include <nodes/option_table.hpp>

namespace ventile {

struct Versions {
  std::string program;
  std::string protocol;
  std::string libzmq;
};

// Where a process runs, as far as its options depend on it.
struct Surroundings {
  Versions versions;
  std::map<std::string, std::string> environment;  // HOME and VENTILE_*; an empty one counts as not set.
  std::filesystem::path directory = ".";           // Where ventile.toml is looked for.
  std::filesystem::path system_config = "/etc/ventile/config.toml";

  static Surroundings of_process(Versions versions);
};

// One option's value and where it was found.
struct Setting {
  std::string name;
  Option::Shape shape = Option::Shape::single;
  std::vector<std::string> values;  // As a user would write them; none if there is no value.
  std::string origin;               // "--slots", "VENTILE_SLOTS", "./ventile.toml:3" or "default".

  bool is_default() const { return origin == "default"; }
};

// Assigns every option of the role's table and answers with the settings in the table's order; or says why not: help
// and version were asked for, or a source holds what no option takes. `known` are the keys a file may hold. The
// option "config", if the table has it, names one file to read in place of the three.
Parsed<std::vector<Setting>> resolve(const OptionTable& table, const std::string& role, const KnownKeys& known,
                                     const std::vector<std::string>& arguments, const Surroundings& around);

// True if errors should be JSON although the options could not be read.
bool wants_json(const std::vector<std::string>& arguments, const Surroundings& around);

}  // namespace ventile
