#include <nodes/confinement_of.hpp>

#include <sys/resource.h>

#include <array>
#include <string_view>
#include <utility>

#include <nodes/quantity.hpp>

namespace ventile {
namespace {

enum class Unit : std::uint8_t { seconds, bytes, count };

struct Kind {
  std::string_view name;
  int resource;
  Unit unit;
};
constexpr std::array kinds{Kind{"cpu", RLIMIT_CPU, Unit::seconds}, Kind{"memory", RLIMIT_AS, Unit::bytes},
                           Kind{"files", RLIMIT_NOFILE, Unit::count}, Kind{"processes", RLIMIT_NPROC, Unit::count},
                           Kind{"file-size", RLIMIT_FSIZE, Unit::bytes}};

Result<std::uint64_t> value_of(Unit unit, std::string_view text) {
  if (unit == Unit::bytes) return parse_size(text);
  if (unit == Unit::count) {
    const Result<std::int64_t> count = parse_integer(text, 0, 1 << 30);
    if (!count) return count.error();
    return static_cast<std::uint64_t>(*count);
  }
  const Result<Duration> duration = parse_duration(text);
  if (!duration) return duration.error();
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(*duration).count());
}

Result<ResourceLimit> limit_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string_view name = std::string_view{text}.substr(0, equals);
  for (const Kind& kind : kinds) {
    if (equals == std::string::npos || kind.name != name) continue;
    const Result<std::uint64_t> value = value_of(kind.unit, std::string_view{text}.substr(equals + 1));
    if (!value) return Error{Code::invalid, "--limit " + std::string{name} + ": " + value.error().message};
    return ResourceLimit{kind.resource, *value};
  }
  return Error{Code::invalid,
               "--limit: expected cpu, memory, files, processes or file-size, and =N, got \"" + text + "\""};
}

}  // namespace

Result<Confinement> confinement_of(const CommandLimits& options) {
  Confinement confinement{.no_new_privileges = true};
  if (!options.user.empty()) {
    Result<UserAccount> account = account_of(options.user);
    if (!account) return Error{Code::invalid, "--user: " + account.error().message};
    confinement.account = *std::move(account);
  }
  for (const std::string& text : options.limits) {
    const Result<ResourceLimit> limit = limit_of(text);
    if (!limit) return limit.error();
    confinement.limits.push_back(*limit);
  }
  return confinement;
}

}  // namespace ventile
