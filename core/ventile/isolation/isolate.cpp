#include <ventile/isolation/isolate.hpp>

#include <memory>
#include <utility>

#include <ventile/isolation/isolated_function.hpp>
#include <ventile/isolation/server.hpp>
#include <ventile/isolation/slot_process.hpp>

namespace ventile {

Status isolate(TaskRegistry& tasks, IsolationOptions options) {
  using namespace isolation;
  if (!options.on_gone) options.on_gone = [](const std::string&) {};
  Result<Server> server = start_server(tasks, {options.memory_bytes_max});
  if (!server) return server.error();
  const auto processes = std::make_shared<SlotProcesses>(*std::move(server), std::move(options));
  tasks.wrap_all([&](const std::string& name,
                     std::shared_ptr<const TaskFunction> function) -> std::shared_ptr<const TaskFunction> {
    if (function->traits().enforces_timeout) return function;
    return std::make_shared<IsolatedFunction>(name, function->traits(), processes);
  });
  return {};
}

}  // namespace ventile
