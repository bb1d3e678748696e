#include <nodes/functions.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include <nodes/builtin_tasks.hpp>
#include <nodes/exec_task.hpp>
#include <ventile/isolation/isolate.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/task/plugin.hpp>
#include <ventile/task/process.hpp>

namespace ventile {
namespace {

Result<std::vector<std::string>> files_of(const std::string& plugin) {
  std::error_code error;
  if (!std::filesystem::is_directory(plugin, error)) return std::vector<std::string>{plugin};
  std::vector<std::string> files;
  for (auto entry = std::filesystem::directory_iterator{plugin, error};
       !error && entry != std::filesystem::directory_iterator{}; entry.increment(error))
    if (entry->path().extension() == ".so") files.push_back(entry->path());
  if (error) return Error{Code::unavailable, "plugins of " + plugin + ": " + error.message()};
  std::sort(files.begin(), files.end());
  return files;
}

std::ptrdiff_t threads_here() {
  std::error_code error;
  return std::distance(std::filesystem::directory_iterator{"/proc/self/task", error},
                       std::filesystem::directory_iterator{});
}

}  // namespace

Status add_functions(TaskRegistry& tasks, const std::vector<std::string>& plugins, const std::string& exec,
                     std::shared_ptr<const Zygote> zygote) {
  add_builtin_tasks(tasks);
  for (const std::string& plugin : plugins) {
    const Result<std::vector<std::string>> files = files_of(plugin);
    if (!files) return files.error();
    for (const std::string& file : *files)
      if (const Result<Plugin> loaded = load_plugin(file, tasks); !loaded) return loaded.error();
  }
  if (exec.empty()) return {};
  Result<std::vector<std::string>> words = split_words(exec);
  if (!words) return Error{Code::invalid, "--exec: " + words.error().message};
  add_exec_task(tasks, std::move(zygote), {.words = std::move(*words), .worker = host_and_process()});
  return {};
}

Status add_isolation(TaskRegistry& tasks, const SlotChoice& choice, std::uint32_t slots, Console& console) {
  if (choice.kind == SlotKind::thread) {
    if (choice.memory_bytes_max == 0) return {};
    return Error{Code::invalid, "--slot-memory limits processes: add --isolation process"};
  }
  if (threads_here() > 1)
    return Error{Code::invalid,
                 "--isolation process: a plugin has started threads as it was loaded, which its copies would not have"};
  return isolate(
      tasks,
      {.slots = slots, .memory_bytes_max = choice.memory_bytes_max, .on_gone = [&console](const std::string& why) {
         console.error(ExitCode::internal, why);
         std::_Exit(to_int(ExitCode::internal));
       }});
}

}  // namespace ventile
