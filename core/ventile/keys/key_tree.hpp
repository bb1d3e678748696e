// All keys of one fabric: a folder for each role, as `ventile keygen` writes it.
//
//   keys/dispatcher   its own key; knows everybody
//   keys/sink         its own key; knows the dispatcher and the workers
//   keys/worker       its own key; knows the dispatcher and the sink, and so does each keys/worker-NAME
//   keys/client       its own key; knows the dispatcher
//   keys/admin        its own key; knows the dispatcher
//
// A folder is all that its role needs on its host, and nothing in it speaks for another role. There is one key for all
// dispatchers and one for all sinks: they are what others are told to expect.
#pragma once

#include <string>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/keys/key_files.hpp>

namespace ventile {

// Makes a folder for each role; empty ones may be there already. Code::invalid if there is a key in any, and all stay
// as they are. The dispatcher's key is the last to be made.
Status make_key_tree(const std::string& root);

// Whether make_key_tree() has been here, and has ended.
bool has_key_tree(const std::string& root);

// One more worker, client or admin, in the folder ROLE-NAME, which is returned. Code::invalid if the role has only one
// key, or if the name is taken or none.
Result<std::string> add_key(const std::string& root, KeyRole role, const std::string& name);

// Who has this name does not come in any more. Code::invalid if nobody has it, or a dispatcher or sink.
Status revoke_key(const std::string& root, const std::string& name);

// Everybody, in the order in which they were made; the dispatcher first.
Result<std::vector<KnownPeer>> list_keys(const std::string& root);

// Lets whoever serves with these keys read them again, changed or not.
Status touch_keys(const std::string& root);

}  // namespace ventile
