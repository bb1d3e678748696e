// --results: the outputs of every task in files whose names tell its arguments.
//
//   DIR/1/ARGUMENT/2/ARGUMENT/{seq,stdout,stderr}
//
// with the columns' names in place of 1 and 2 if there is a --header. No argument can lead out of DIR: in a name "\\"
// is a backslash, "\_" a slash, "\." and "\.." are what would be the folder and its parent, "\e" is nothing; a name
// that is too long is cut and ends with "\h" and a hash of the whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nodes/run/spill.hpp>
#include <nodes/run/task_report.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// What stands for an argument or a column in the folder.
std::string result_file_name(std::string_view text);

class ResultsFolder {
public:
  ResultsFolder(std::string folder, std::vector<std::string> names)
      : folder_(std::move(folder)), names_(std::move(names)) {}

  // Writes the three files of a task, over those that may be there.
  Status write(const RunReport& report, const SpillFile& spill) const;

private:
  std::string folder_;
  std::vector<std::string> names_;

  static Status write_file(const std::string& path, const CapturedOutput& output, const SpillFile& spill);
};

}  // namespace ventile
