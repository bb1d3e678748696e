// A line for people, among a decider's actions.
#pragma once

#include <string>

#include <ventile/base/log.hpp>

namespace ventile {

struct Notice {
  Level level = Level::info;
  std::string text;
};

}  // namespace ventile
