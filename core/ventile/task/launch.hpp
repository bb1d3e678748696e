// Turns a clone of the zygote into a command. Private to this folder.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ventile/task/confinement.hpp>
#include <ventile/task/zygote_process.hpp>

namespace ventile::zygote {

// A command that runs and leads a group of its own, or what failed.
struct Launched {
  Step step = Step::begun;
  int error = 0;  // errno of the failed step.
  pid_t process = 0;
};

// Starts commands one after the other from a process with one thread in which all signals are blocked and have their
// default action. Keeps its memory between commands.
class Launcher {
public:
  explicit Launcher(const std::vector<ResourceLimit>& limits);

  // Returns once the program runs or has failed to. Uses the strings of the request in place.
  Launched launch(ReceivedRequest& received);

private:
  static constexpr std::size_t stack_bytes = 64U << 10;

  std::unique_ptr<std::byte[]> stack_;
  std::string candidate_;  // A path that is tried for the program.
  std::string found_;      // Where the last program was that was sought in PATH, unless that depends on the folder,
  std::string found_name_;
  std::string found_search_path_;
  const char* directory_ = nullptr;
  int nice_ = 0;
  const std::vector<ResourceLimit>& limits_;
  std::vector<char*> words_;  // [0] is kept free for the name of a shell; argv begins at [1].
  std::vector<char*> environment_;
  std::array<int, 3> standard_{};  // What becomes 0, 1 and 2; the first may be -1.
  Launched launched_;

  void parse(ReceivedRequest& received);
  void add_inherited_environment(std::size_t own_count);
  static int enter(void* launcher);  // In the child, as all below.
  void become_command();
  void fail(Step step);  // With errno.
  void set_up_process();
  bool set_up_descriptors();
  void find_and_execute();
  void execute_where_last_found(std::string_view name);
  void note_found(std::string_view name);
  void execute(const char* path);
  const char* search_path() const;
};

}  // namespace ventile::zygote
