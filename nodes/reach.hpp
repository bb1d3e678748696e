// Who may reach a node: addresses that other machines can reach need keys, or a user who accepts the risk.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nodes/console.hpp>
#include <nodes/exit_code.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/endpoint.hpp>

namespace ventile {

// What protects an address, as options say it.
struct Protection {
  std::string keys;  // --keys: a folder; empty: none.
  bool insecure = false;
};

// Why the address is not to be bound or connected to, with the two lines that mend it; nothing if it may be. `option`
// is its name without dashes, "bind" or "connect".
std::optional<ExitNow> check_reach(std::string_view option, const Endpoint& endpoint, const Protection& protection);

// Says on every start what --insecure means for this address, if it means anything.
void warn_if_open(Console& console, const Endpoint& endpoint, const Protection& protection);

// The keys for one of the `roles`; none if there is no --keys. Warns if others may read the secret, and from then on
// this process leaves no core file. Call after what is forked first.
Result<Keys> open_keys(const std::string& folder, const std::vector<KeyRole>& roles, const Log& log);

// On SIGHUP: reads the list of guests again, and says so.
void reload_keys(const Keys& keys, const Log& log);

}  // namespace ventile
