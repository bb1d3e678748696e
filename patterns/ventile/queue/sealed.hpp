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

// The same of a lease that went to a stream: its seal is good for every worker, and only those who pulled it have it.
inline bool bears_stream_seal(const Keys& keys, JobId job, const Results& results) {
  return bears_seal(keys, job, results, {});
}

}  // namespace ventile
