// What `ventile broker` and `ventile up` say of a broker.
#pragma once

#include <string>

#include <nodes/options.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/queue/broker.hpp>

namespace ventile {

// Makes the folder that --durable asks for; an error if that cannot be done.
Result<BrokerOptions> broker_options(const BrokerCommand& command, const Keys& keys, const Log& log);

// Its last words. What is open is not lost: a durable broker has it on the disk; of another its clients have it, and
// submit it again when there is a broker.
std::string farewell(const Report& report, bool durable);

// How long goodbyes may take to leave.
inline constexpr Duration farewell_max = std::chrono::milliseconds{200};

}  // namespace ventile
