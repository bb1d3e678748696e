#include <nodes/versions.hpp>

#include <ventile/base/version.hpp>
#include <ventile/net/library.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

const Versions& versions() {
  static const Versions all{VENTILE_VERSION, std::to_string(protocol_version), libzmq_version()};
  return all;
}

}  // namespace ventile
