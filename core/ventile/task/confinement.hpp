// What commands are kept from, where they come from others: a worker's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ventile/base/result.hpp>

namespace ventile {

// Somebody that commands can run as.
struct UserAccount {
  std::string name;
  std::string home;
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;  // All of them.
};

// By name or number. Code::invalid if there is nobody of that name, or if we may not become somebody else.
Result<UserAccount> account_of(const std::string& name);

// As setrlimit(2) has it, soft and hard.
struct ResourceLimit {
  int resource = 0;
  std::uint64_t value = 0;
};

struct Confinement {
  // No program that they run gives them the rights of another user, as sudo does (PR_SET_NO_NEW_PRIVS of prctl(2)).
  bool no_new_privileges = false;
  std::optional<UserAccount> account;  // None: ours.
  std::vector<ResourceLimit> limits;   // Of each process.
};

}  // namespace ventile
