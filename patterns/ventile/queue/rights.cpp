#include <ventile/queue/rights.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <variant>
#include <vector>

#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

using Types = std::vector<std::uint8_t>;

const Types& common() {
  static const Types types{Hello::type, Heartbeat::type, Part::type, Bye::type};
  return types;
}

const Types& own(KeyRole key) {
  static const Types worker{Results::type, Return::type, Progress::type, Milestones::type, Waiting::type, Seek::type};
  static const Types sink{Opened::type, Stored::type, Closed::type};
  static const Types client{Submit::type, Offer::type,   Complete::type, Stored::type, Closed::type,
                            Fetch::type,  Discard::type, Inquire::type,  Explain::type};
  static const Types admin{Inquire::type, Explain::type, Discard::type, Drain::type};
  static const Types dispatcher{Inquire::type, Explain::type, Return::type, Progress::type};
  switch (key) {
    case KeyRole::worker:
      return worker;
    case KeyRole::sink:
      return sink;
    case KeyRole::client:
      return client;
    case KeyRole::admin:
      return admin;
    case KeyRole::dispatcher:
      break;
  }
  return dispatcher;
}

bool may_be(KeyRole key, Role role) {
  if (key == KeyRole::dispatcher) return role != Role::sink;
  if (key == KeyRole::worker) return role == Role::worker;
  return role == (key == KeyRole::sink ? Role::sink : Role::client);
}

bool contains(const Types& types, std::uint8_t type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

std::string_view name_of(Role role) {
  return role == Role::worker ? "a worker" : role == Role::sink ? "a sink" : "a client";
}

}  // namespace

std::string objection_to(KeyRole key, const Message& message) {
  const auto type = std::visit([](const auto& m) { return std::decay_t<decltype(m)>::type; }, message);
  const std::string whose = "its key is that of " + std::string(one(key));
  if (!contains(common(), type) && !contains(own(key), type))
    return whose + ", which may not say " + ventile::name_of(message);
  const auto* hello = std::get_if<Hello>(&message);
  if (hello != nullptr && !may_be(key, hello->role))
    return whose + ", and it introduces itself as " + std::string(name_of(hello->role));
  return {};
}

}  // namespace ventile
