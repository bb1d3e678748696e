// A worker's options for what its commands may do, as the zygote wants them.
#pragma once

#include <nodes/options.hpp>
#include <ventile/task/confinement.hpp>

namespace ventile {

// Of a worker, whose commands come from others: what runs never gains rights. Code::invalid names the option and what
// would be right.
Result<Confinement> confinement_of(const CommandLimits& options);

}  // namespace ventile
