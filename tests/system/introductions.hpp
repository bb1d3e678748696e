// How often a dispatcher had to welcome somebody: whoever is left alone introduces itself once.
#pragma once

#include <tests/system/process.hpp>

namespace ventile {

// By what the dispatcher has said so far; peers are named by host and process.
int introductions_of(const Process& peer, Process& dispatcher);

}  // namespace ventile
