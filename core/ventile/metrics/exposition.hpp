// Metrics as text that Prometheus reads.
#pragma once

#include <string>

#include <ventile/metrics/metrics.hpp>

namespace ventile {

// The text format 0.0.4: HELP and TYPE once per name, then its samples. Equal metrics give equal text.
std::string exposition(const Metrics& metrics);

}  // namespace ventile
