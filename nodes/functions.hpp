// The functions that a worker serves: the built-in ones, those of plugins, and a command.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/task/zygote.hpp>

namespace ventile {

// A plugin may be a folder: all its files that end in .so, in the order of their names. `zygote` may be null if `exec`
// is empty. Errors name the plugin or the word that does not fit.
Status add_functions(TaskRegistry& tasks, const std::vector<std::string>& plugins, const std::string& exec,
                     std::shared_ptr<const Zygote> zygote);

}  // namespace ventile
