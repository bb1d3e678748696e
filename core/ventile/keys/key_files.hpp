// The two files in a role's folder of keys.
//
//   key    for its owner's eyes (0600): what it is, what it is called, and its secret
//
//            ventile-key 1
//            role worker
//            name gpu-3
//            public 4Wq9…        For people; the secret decides.
//            secret xV2f…
//
//   peers  whom it knows, one on each line; who was revoked stays there, so that everybody can see it
//
//            ventile-peers 1
//            dispatcher dispatcher 9sQp…
//            worker gpu-3 4Wq9…
//            revoked worker gpu-2 mI0r…
//
// Blank lines and lines that begin with # are passed over.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/keys/key_role.hpp>
#include <ventile/net/curve.hpp>

namespace ventile {

inline constexpr std::string_view key_file = "key";
inline constexpr std::string_view peers_file = "peers";
inline constexpr std::size_t peers_bytes_max = 16 << 20;

// Up to 64 letters, digits, dots, underscores and dashes, and none of the last three first: never a path.
bool is_key_name(std::string_view name);

struct OwnKey {
  KeyRole role = KeyRole::worker;
  std::string name;
  std::shared_ptr<const KeyPair> pair;
  bool others_may_read = false;  // Of the file: its owner's group, or everybody.
};

struct KnownPeer {
  KeyRole role = KeyRole::worker;
  std::string name;
  std::string public_key;
  bool revoked = false;

  bool operator==(const KnownPeer&) const = default;
};

// `folder` holds the files. Errors name the file and what is wrong with it, and never repeat what was in it:
// Code::unavailable if it cannot be read or written, Code::corrupt if it is none of ours.
Result<OwnKey> read_key(const std::string& folder);
Result<std::vector<KnownPeer>> read_peers(const std::string& folder);

// Makes the file; Code::unavailable if there is one.
Status write_key(const std::string& folder, const OwnKey& key);
// Takes the place of the one before in one step: whoever reads at the same time has one or the other.
Status write_peers(const std::string& folder, const std::vector<KnownPeer>& peers);

}  // namespace ventile
