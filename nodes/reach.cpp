#include <nodes/reach.hpp>

#include <sys/prctl.h>

#include <fmt/format.h>

namespace ventile {

std::optional<ExitNow> check_reach(std::string_view option, const Endpoint& endpoint, const Protection& protection) {
  if (protection.insecure || !protection.keys.empty() || endpoint.is_loopback()) return std::nullopt;
  const std::string address = endpoint.to_string();
  return ExitNow{ExitCode::usage,
                 fmt::format("refusing to {} {} without keys: whoever is on that network could take part or listen "
                             "(--insecure accepts that)",
                             option, address),
                 fmt::format("Make keys, once:      ventile keygen --out keys\n"
                             "And use them here:    --{} {} --keys keys",
                             option, address),
                 false};
}

void warn_if_open(Console& console, const Endpoint& endpoint, const Protection& protection) {
  if (!protection.insecure || endpoint.is_loopback()) return;
  console.write(Level::warning, fmt::format("--insecure: whoever can reach {} may take part in this job and read it; "
                                            "`ventile keygen` makes keys",
                                            endpoint.to_string()));
}

Result<Keys> open_keys(const std::string& folder, const std::vector<KeyRole>& roles, const Log& log) {
  if (folder.empty()) return Keys{};
  ::prctl(PR_SET_DUMPABLE, 0);  // libzmq has copies of the secret that we cannot wipe.
  Result<Keys> keys = Keys::open(folder, roles, log);
  if (keys && !keys->caution().empty()) log.warning(keys->caution());
  return keys;
}

void reload_keys(const Keys& keys, const Log& log) {
  if (!keys) return log.info("there are no keys to read again");
  if (const Status reloaded = keys.reload(); !reloaded)
    log.error(reloaded.error().message + "; going on with the keys as they were");
  else
    log.info("read the keys again");
}

}  // namespace ventile
