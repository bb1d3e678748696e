// Which libzmq this process runs with.
#pragma once

#include <string>

namespace ventile {

std::string libzmq_version();  // "4.3.4"

}  // namespace ventile
