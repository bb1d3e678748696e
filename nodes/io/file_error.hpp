// What went wrong with a file, in one sentence.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include <ventile/base/result.hpp>

namespace ventile {

// "cannot open tasks.jsonl: No such file or directory"
inline Error file_error(std::string_view verb, std::string_view name, int cause = errno) {
  std::string message{"cannot "};
  message.append(verb).append(" ").append(name).append(": ");
  return {Code::unavailable, message + std::generic_category().message(cause)};
}

}  // namespace ventile
