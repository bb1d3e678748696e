// What `ventile version` names.
#pragma once

#include <nodes/settings.hpp>

namespace ventile {

const Versions& versions();

}  // namespace ventile
