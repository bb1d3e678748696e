// A folder in memory that forgets what was not synced when the power goes, fills up, and breaks on demand.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <ventile/journal/file.hpp>

namespace ventile {

// What a crash in the middle of an operation leaves behind it.
enum class Unsynced : std::uint8_t {
  lost,    // Nothing that was not synced.
  kept,    // Everything, as when only the process was killed.
  chance,  // Each sector of 512 bytes and each change of the folder by itself, but changes of the folder in order.
};

// The disk: what is on it (synced) and what is on its way. Shared by the folders that are opened on it, one after the
// other, as processes come and go.
class MemoryDisk {
public:
  // Thrown out of the operation in whose middle the power goes.
  struct PowerLoss {};

  // The power goes during the `count`-th write, sync, rename, create or remove from now, the first being 1.
  void fail_at(std::uint64_t count) { fail_at_ = operations_ + count; }
  std::uint64_t operations() const { return operations_; }
  // After PowerLoss, or at any other time: what is left when the machine starts again.
  void restart(Unsynced unsynced, std::uint64_t seed);

  // Writes and new files beyond so many bytes are refused as on a full disk.
  void limit(std::uint64_t bytes) { bytes_max_ = bytes; }
  std::uint64_t bytes() const;
  // Every sync, or every write, fails from now on.
  void break_syncs() { syncs_fail_ = true; }
  void break_writes() { writes_fail_ = true; }

  std::map<std::string, std::vector<std::byte>> files() const;      // As a process sees them.
  void put(const std::string& name, std::vector<std::byte> bytes);  // Synced.
  void drop(const std::string& name);
  void flip(const std::string& name, std::size_t bit);

  std::unique_ptr<Folder> folder();

private:
  friend class MemoryFile;
  friend class MemoryFolder;
  struct Data {
    std::vector<std::byte> bytes;   // As a process sees them.
    std::vector<std::byte> synced;  // As they are on the disk.
  };
  using Names = std::map<std::string, std::shared_ptr<Data>>;

  Names names_;
  Names synced_names_;
  std::vector<std::function<void(Names&)>> unsynced_;  // Changes of the folder, in order.
  std::uint64_t operations_ = 0;
  std::uint64_t fail_at_ = std::numeric_limits<std::uint64_t>::max();
  std::atomic<std::uint64_t> bytes_max_ = std::numeric_limits<std::uint64_t>::max();  // A writer has its own thread.
  bool syncs_fail_ = false;
  bool writes_fail_ = false;

  bool power_goes() { return ++operations_ == fail_at_; }
  void change(const std::function<void(Names&)>& change);
};

}  // namespace ventile
