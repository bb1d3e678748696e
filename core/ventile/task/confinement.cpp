#include <ventile/task/confinement.hpp>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

namespace ventile {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

// Called before any thread is started: getpwnam(3) is not for several.
Result<UserAccount> account_of(const std::string& name) {
  const passwd* const entry = is_number(name)
                                  ? getpwuid(static_cast<uid_t>(std::stoul(name)))  // NOLINT(concurrency-mt-unsafe)
                                  : getpwnam(name.c_str());                         // NOLINT(concurrency-mt-unsafe)
  if (entry == nullptr) return Error{Code::invalid, "there is no user '" + name + "' on this machine"};
  UserAccount account{entry->pw_name, entry->pw_dir, entry->pw_uid, entry->pw_gid, {}};
  if (account.user != geteuid() && geteuid() != 0)
    return Error{Code::invalid, "only root can run commands as another user, and this is not root"};
  int count = 64;
  account.groups.resize(static_cast<std::size_t>(count));
  if (getgrouplist(entry->pw_name, entry->pw_gid, account.groups.data(), &count) < 0) {
    account.groups.resize(static_cast<std::size_t>(count));
    (void)getgrouplist(entry->pw_name, entry->pw_gid, account.groups.data(), &count);
  }
  account.groups.resize(static_cast<std::size_t>(count));
  return account;
}

}  // namespace ventile
