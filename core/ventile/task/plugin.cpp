#include <ventile/task/plugin.hpp>

#include <dlfcn.h>

#include <exception>
#include <stdexcept>
#include <utility>

namespace ventile {
namespace {

Error refusal(Code code, const std::filesystem::path& path, const std::string& why) {
  return {code, "plugin " + path.string() + ": " + why};
}

template <class Function>
Function* find_entry(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

std::string dynamic_loader_error() {
  const char* text = dlerror();
  return text != nullptr ? text : "the dynamic loader gives no reason";
}

Result<TaskRegistry> registered_by(void* library, const std::filesystem::path& path) {
  auto* abi = find_entry<const char*()>(library, "ventile_plugin_abi");
  auto* registration = find_entry<void(TaskRegistry&)>(library, "ventile_plugin_register");
  if (abi == nullptr) return refusal(Code::invalid, path, "not a Ventile plugin: it lacks ventile_plugin_abi");
  if (const std::string_view theirs = abi(); theirs != VENTILE_PLUGIN_ABI)
    return refusal(Code::invalid, path,
                   "built for [" + std::string{theirs} + "], but this program is [" VENTILE_PLUGIN_ABI "]");
  if (registration == nullptr)
    return refusal(Code::invalid, path, "not a Ventile plugin: it lacks ventile_plugin_register");
  TaskRegistry registry;
  try {
    registration(registry);
  } catch (const std::exception& exception) {
    return refusal(Code::invalid, path, std::string{"registration failed: "} + exception.what());
  } catch (...) {
    return refusal(Code::invalid, path, "registration threw something that is not a std::exception");
  }
  return registry;
}

}  // namespace

Result<Plugin> load_plugin(const std::filesystem::path& path, TaskRegistry& registry) {
  // A name without a slash would be searched for in the system's library folders.
  void* library = dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) return refusal(Code::unavailable, path, dynamic_loader_error());
  Result<TaskRegistry> registered = registered_by(library, path);
  if (!registered) return registered.error();
  Plugin plugin{path, registered->names(), registered->fold_names()};
  try {
    registry.merge(std::move(*registered));
  } catch (const std::invalid_argument& clash) {
    return refusal(Code::invalid, path, clash.what());
  }
  return plugin;
}

}  // namespace ventile
