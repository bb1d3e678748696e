// How nodes introduce themselves.
#pragma once

#include <string>

#include <ventile/base/ids.hpp>

namespace ventile {

std::string host_name();
std::string host_and_process();  // "host:pid", for people.
IncarnationId random_incarnation();

}  // namespace ventile
