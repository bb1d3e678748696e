// Task functions from a shared library, for a worker that was built without them.
//
//   #include <ventile/task/plugin.hpp>
//
//   VENTILE_PLUGIN(registry) { registry.add("area", [](double w, double h) { return w * h; }); }
//
// Plugin and worker exchange C++ objects, so both must be built with the same Ventile and a compatible compiler;
// load_plugin() checks that before it calls anything.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/base/version.hpp>
#include <ventile/task/registry.hpp>

#define VENTILE_STRINGIFY_(x) #x
#define VENTILE_STRINGIFY(x) VENTILE_STRINGIFY_(x)

// What two builds must have in common to exchange objects. 1 is the version of this list and of the entry points.
#define VENTILE_PLUGIN_ABI                                                     \
  "ventile-plugin 1, Ventile " VENTILE_VERSION ", C++ ABI " VENTILE_STRINGIFY( \
      __GXX_ABI_VERSION) ", libstdc++ string ABI " VENTILE_STRINGIFY(_GLIBCXX_USE_CXX11_ABI)

// Defines the entry points of a plugin; the block behind it registers its functions and folds.
#define VENTILE_PLUGIN(registry)                                                                            \
  extern "C" [[gnu::visibility("default")]] const char* ventile_plugin_abi() { return VENTILE_PLUGIN_ABI; } \
  extern "C" [[gnu::visibility("default")]] void ventile_plugin_register(::ventile::TaskRegistry& registry)

namespace ventile {

struct Plugin {
  std::filesystem::path path;
  std::vector<std::string> functions;  // What it registered.
  std::vector<std::string> folds;
};

// Loads the library and adds what it registers, all or nothing. It stays loaded for the life of the process. Errors
// (Code::unavailable: cannot be loaded; Code::invalid: will never fit) name the file and the reason.
Result<Plugin> load_plugin(const std::filesystem::path& path, TaskRegistry& registry);

}  // namespace ventile
