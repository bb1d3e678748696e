// What a peer may say to a dispatcher, by the key that it has shown.
#pragma once

#include <string>

#include <ventile/keys/key_role.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// Every message is looked at, whatever its sender claims to be:
//
//   key          introduces itself as   and may say, beside HEARTBEAT, PART and BYE
//   worker       worker                 RESULTS, RETURN, PROGRESS, MILESTONES, WAITING; SEEK
//   sink         sink                   OPENED, STORED, CLOSED
//   client       client                 SUBMIT, OFFER, COMPLETE, STORED, CLOSED, INQUIRE, EXPLAIN
//   admin        client                 INQUIRE, EXPLAIN, DRAIN
//   dispatcher   client                 INQUIRE, EXPLAIN: a health check beside it
//                worker                 RETURN, PROGRESS: the source of a pipeline beside it
//
// Returns why somebody with such a key may not say this, as one sentence without its full stop; empty if it may.
std::string objection_to(KeyRole key, const Message& message);

}  // namespace ventile
