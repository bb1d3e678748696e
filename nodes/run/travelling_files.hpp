// Files that go with a task to another machine (--transfer), and those that come back with its result (--return).
//
// They travel inside of the task and of its report, so that nothing has to be open but the run's own address. Commands
// on the machine of `ventile run` find their files where they are.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include <nodes/run/template.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

struct RunInput;
struct RunReport;

// Of all files of one task in one direction.
inline constexpr std::uint64_t travelling_bytes_max = std::uint64_t{256} << 20;

struct TravellingFile {
  std::string path;  // Relative to the folder in which the commands run, or absolute. Empty on the way back.
  std::uint32_t mode = 0;
  std::uint32_t checksum = 0;  // CRC-32C of the content.
  std::string content;
  std::string error;  // Why there is no content; then only this counts.

  static auto fields(auto& self) { return std::tie(self.path, self.mode, self.checksum, self.content, self.error); }
  bool operator==(const TravellingFile&) const = default;
};

// `path` with what is in the file, or with why that cannot be had. `left` is how many bytes may still travel.
TravellingFile pick_up(const std::string& path, std::uint64_t& left);
// Puts the content there, in one piece or not at all, and makes the folders that it needs. Code::corrupt if the content
// is not what was picked up.
Status put_down(const TravellingFile& file, const std::string& path);

// --- Where the run is --------------------------------------------------------------------------------------------

// The templates of --transfer or --return. Code::invalid for {%}, which every machine counts for itself.
Result<std::vector<CommandTemplate>> path_templates(const std::vector<std::string>& texts,
                                                    const std::vector<std::string>& names);

// Thread-safe: tasks are packed where they are read, and unpacked where results are written.
class Luggage {
public:
  Luggage(std::vector<CommandTemplate> transfer, std::vector<CommandTemplate> bring_back)
      : transfer_(std::move(transfer)), bring_back_(std::move(bring_back)) {}

  // Adds the files that the task needs, and remembers where those that it makes belong: no machine can choose that.
  // What is wrong with a path becomes the failure of a task that runs on another machine.
  void pack(RunInput& input);
  // Puts down what has come back with the report. The first error is the run's.
  Status unpack(const RunReport& report);

private:
  std::vector<CommandTemplate> transfer_;
  std::vector<CommandTemplate> bring_back_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::vector<std::string>> expected_;  // By the task's sequence number.
};

// --- Where a task runs -------------------------------------------------------------------------------------------

// The files of others in the folder of a run. Thread-safe.
class Guests {
public:
  Guests(std::string directory, std::vector<CommandTemplate> bring_back, bool cleanup)
      : directory_(std::move(directory)), bring_back_(std::move(bring_back)), cleanup_(cleanup) {}

  // Puts down what came with the task. The error is for people and names the file. leave() follows in any case.
  Status arrive(const RunInput& input);
  // What the task has made, by now. The error is the first file that is not there.
  Status collect(const RunInput& input, RunReport& report) const;
  // With cleanup: removes what came and what was collected, but for what other tasks still need, and the folders that
  // are empty then.
  void leave(const RunInput& input);

private:
  std::string directory_;
  std::vector<CommandTemplate> bring_back_;
  bool cleanup_;
  std::mutex mutex_;
  std::map<std::string, std::uint64_t> users_;

  std::string place_of(const std::string& path) const;
  std::vector<std::string> made_by(const RunInput& input) const;
  void remove(const std::string& path) const;
};

}  // namespace ventile
