#include <nodes/functions.hpp>

#include <nodes/builtin_tasks.hpp>
#include <nodes/exec_task.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/task/plugin.hpp>
#include <ventile/task/process.hpp>

namespace ventile {

Status add_functions(TaskRegistry& tasks, const std::vector<std::string>& plugins, const std::string& exec,
                     std::shared_ptr<const Zygote> zygote) {
  add_builtin_tasks(tasks);
  for (const std::string& path : plugins)
    if (const Result<Plugin> plugin = load_plugin(path, tasks); !plugin) return plugin.error();
  if (exec.empty()) return {};
  Result<std::vector<std::string>> words = split_words(exec);
  if (!words) return Error{Code::invalid, "--exec: " + words.error().message};
  add_exec_task(tasks, std::move(zygote), {.words = std::move(*words), .worker = host_and_process()});
  return {};
}

}  // namespace ventile
