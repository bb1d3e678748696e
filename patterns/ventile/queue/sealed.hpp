// Whether a result comes from somebody who was given its tasks.
#pragma once

#include <string_view>

#include <ventile/keys/keys.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// True if a dispatcher with these keys has leased the result's range, or more, to the owner of that public key. The
// seal says so, whatever became of the lease since: a late result of a lost one is as good as another.
inline bool bears_seal(const Keys& keys, JobId job, const Results& results, std::string_view sender) {
  const Seal& seal = results.seal;
  return seal.code && seal.range.contains(results.range) &&
         seal.code == keys.seal({job, results.lease, seal.range, sender});
}

}  // namespace ventile
