// The functions that a worker serves: the built-in ones, those of plugins, and a command.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nodes/console.hpp>
#include <nodes/options.hpp>
#include <ventile/base/result.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/task/zygote.hpp>

namespace ventile {

// A plugin may be a folder: all its files that end in .so, in the order of their names. `zygote` may be null if `exec`
// is empty. Errors name the plugin or the word that does not fit.
Status add_functions(TaskRegistry& tasks, const std::vector<std::string>& plugins, const std::string& exec,
                     std::shared_ptr<const Zygote> zygote);

// Lets them run in processes, if that is wanted. After add_functions(), and before any thread is started: errors name a
// plugin's thread that is in the way. When nothing can run any more the process ends, with a word to `console`.
Status add_isolation(TaskRegistry& tasks, const SlotChoice& choice, std::uint32_t slots, Console& console);

}  // namespace ventile
