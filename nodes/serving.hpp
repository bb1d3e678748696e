// What `ventile broker` and `ventile up` say of a broker.
#pragma once

#include <string>

#include <nodes/options.hpp>
#include <ventile/base/log.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/queue/broker.hpp>

namespace ventile {

BrokerOptions broker_options(const BrokerCommand& command, const Keys& keys, const Log& log);

// Its last words. What is open is not lost: its clients have it, and submit it again when there is a broker.
std::string farewell(const Report& report);

// How long goodbyes may take to leave.
inline constexpr Duration farewell_max = std::chrono::milliseconds{200};

}  // namespace ventile
