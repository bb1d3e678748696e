// A thread that makes records durable, so that nobody else waits for a disk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <ventile/base/buffer.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>
#include <ventile/journal/journal.hpp>

namespace ventile {

struct JournalWriterOptions {
  // One flush takes at most so much: what comes while it runs makes the next one.
  std::uint64_t batch_bytes_max = std::uint64_t{1} << 20;
  // Accepted and not yet on the disk. At the limit append() says Code::overloaded.
  std::uint64_t queued_bytes_max = std::uint64_t{64} << 20;
  Duration retry = std::chrono::milliseconds{200};  // While the disk is full.
};

// Owns the journal and the one thread that writes it. Records are durable in the order of append(), which may be
// called from any thread.
class JournalWriter {
public:
  // Called on the writer's thread; must not block and must not call the writer.
  struct Callbacks {
    std::function<Status()> before_commit;  // Makes durable what the records speak of. An error fails the journal.
    std::function<void(std::uint64_t token)> on_persisted;  // All records up to the one with this token are durable.
    std::function<void(bool full)> on_full;                 // The disk has no room (any more / again).
    std::function<void(const Error&)> on_failed;  // Last call: nothing more will be durable. Stop the process.
  };

  JournalWriter(std::unique_ptr<Journal> journal, JournalWriterOptions options, Callbacks callbacks);
  ~JournalWriter();  // Writes what was accepted, unless the disk is full or broken, and stops.
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // Tokens must not fall. Code::overloaded at the limit, Code::failed once the journal is broken.
  Status append(std::uint64_t token, std::uint16_t kind, Buffer payload);
  // A snapshot of everything appended before it.
  Status append_snapshot(std::uint64_t token, std::uint16_t kind, Buffer payload);

  bool full() const;
  std::uint64_t queued_bytes() const;
  std::uint64_t bytes_since_snapshot() const;
  std::uint64_t flushes() const;

private:
  struct Entry {
    std::uint64_t token = 0;
    RecordRole role = RecordRole::record;
    std::uint16_t kind = 0;
    Buffer payload;
  };

  std::unique_ptr<Journal> journal_;
  JournalWriterOptions options_;
  Callbacks callbacks_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t since_snapshot_ = 0;
  std::uint64_t flushes_ = 0;
  bool full_ = false;
  bool stop_ = false;
  Status health_;
  std::thread thread_;

  Status add(Entry entry);
  void run();
  std::deque<Entry> take_batch();
  bool flush(std::deque<Entry>& batch);
  Status commit_until_there_is_room();
  void say_full(bool full);
};

}  // namespace ventile
