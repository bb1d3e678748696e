// A job as a client has submitted it to a broker: all that is needed to make it again.
#pragma once

#include <string>
#include <tuple>

#include <ventile/base/ids.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct ClientJob {
  JobId id;
  NodeId client;
  std::string client_name;
  std::string key;  // The client's public one, if there are keys.
  LifeId life;
  Submit specification;  // Without what the client had of the job, and took, when it said so.

  static auto fields(auto& self) {
    return std::tie(self.id, self.client, self.client_name, self.key, self.life, self.specification);
  }
};

}  // namespace ventile
