// Keeps the results of clients' jobs in a broker's folder, until a client has fetched them.
//
// To the dispatcher it is one sink for each such job, on the same thread; a client that fetches is sent what the file
// has. The order of writes is that of a durable sink: file, sync, journal, sync, verdict. Only what is in the journal
// is sent to anybody, so that nobody has a result that a crash could change.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/journal/file.hpp>
#include <ventile/queue/broker_journal.hpp>
#include <ventile/queue/collector.hpp>
#include <ventile/queue/delivery.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/kept_file.hpp>

namespace ventile {

struct KeeperOptions {
  std::string results_address;  // Where workers send results; empty: by way of the dispatcher.
  std::uint64_t bytes_max = 0;  // Of all kept results. At the limit workers are given no more of kept jobs; what they
                                // have by then is kept as well.
  std::uint64_t window_bytes = std::uint64_t{16} << 20;  // Of one job's results on their way.
  std::uint64_t delivered_max = std::uint64_t{4} << 20;  // Bytes read and sent in one turn.
  Log log;
};

// What it wants of the broker.
struct KeeperHandlers {
  std::function<void(PeerId local, const Received&)> say;  // To the dispatcher.
  std::function<void(JobId, std::uint64_t bytes, bool full)> on_kept;
  // Write this behind all before it. Call on_persisted() with the token.
  std::function<void(JobId, std::uint64_t token, Buffer entry)> append;
  std::function<void(PeerId client, SessionId session, Buffer frame)> send_results;
  std::function<void(PeerId client, JobId job, SessionId session, const Message&)> send;
  std::function<void(const std::string& why)> on_failed;  // The folder is not to be relied on: stop.
  std::function<std::uint64_t()> random;
};

// Belongs to the reactor's thread, but for sync().
class Keeper {
public:
  // Nobody else uses the folder.
  Keeper(KeeperOptions options, std::unique_ptr<Folder> folder, KeeperHandlers handlers);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // A job begins or, with records, goes on. Code::corrupt if its file is damaged.
  Status begin(JobId job, const std::vector<KeptRecord>& records, TimePoint now);
  void forget(JobId job);
  // Removes files of jobs that it does not know: a crash came between their end and this.
  void remove_others();

  bool has(JobId job) const { return jobs_.contains(job); }
  // RESULTS of one of its jobs. Code::invalid if they are not.
  Status take(Bytes frame, std::shared_ptr<const void> memory, TimePoint now);
  // The dispatcher says something to one of its peers.
  void hear(PeerId local, JobId job, SessionId session, const Message& message, TimePoint now);
  void act(const Keeping& keeping);
  void on_persisted(JobId job, std::uint64_t token, TimePoint now);
  // Writes what has come in this turn, and sends what may be sent. False if there is more to send.
  bool on_turn_end(TimePoint now);
  // Nothing waits to be written: record() says what the journal has or is about to have.
  bool is_clean() const;
  // All that is kept of a job, in one record that stands for those before it.
  std::optional<KeptRecord> record(JobId job) const;

  // From the journal's thread: what was written is on the disk.
  Status sync();

private:
  struct Held {
    std::shared_ptr<const void> memory;
    Bytes frame;  // In it.
    Envelope envelope;
    Results results;
  };
  struct Unsafe {  // Pieces that are yet to be in the journal.
    std::uint64_t token = 0;
    std::vector<KeptPiece> pieces;
  };
  struct Job {
    JobId id;
    PeerId peer;
    IncarnationId incarnation;
    SessionId own_session;  // With the dispatcher.
    std::uint64_t sequence = 0;
    std::unique_ptr<Collector> collector;
    std::shared_ptr<KeptFile> file;
    std::unordered_map<FrameId, Held> held;
    std::vector<KeptPiece> written;  // Since the last record.
    std::vector<Unsafe> unsafe;
    Delivery delivery;
    PeerId client;
    SessionId session;
    bool dirty = false;
    std::uint64_t counted_bytes = 0;  // Of all that are kept.
  };

  KeeperOptions options_;
  KeeperHandlers handlers_;
  std::unique_ptr<Folder> folder_;
  std::map<JobId, Job> jobs_;
  std::map<PeerId, JobId> peers_;
  std::uint64_t next_peer_ = 0;
  std::uint64_t frames_ = 0;
  std::uint64_t bytes_ = 0;
  bool full_ = false;
  bool said_no_room_ = false;
  std::mutex mutex_;  // Guards what follows.
  std::vector<std::shared_ptr<KeptFile>> unsynced_;

  static std::string name_of(JobId job) { return to_string(job) + ".results"; }
  void flush(Job& job, TimePoint now);
  void count(Job& job);
  bool deliver(Job& job, std::uint64_t& sent);
  void carry_out(Job& job, TimePoint now);
  void act(Job& job, Collector::Say& say);
  void act(Job& job, Collector::Write& write);
  void act(Job& job, Collector::WriteOutcome& write);
  void act(Job& job, Collector::Persist& persist);
  void act(Job& job, Collector::Release& release) { job.held.erase(release.frame); }
  void act(Job& job, Notice& notice);
  void act(Job&, Collector::OpenOutput&) {}
  void act(Job&, Collector::Combine&) {}
  void act(Job&, Collector::Finalise&) {}
  void act(Job&, Collector::Leave&) {}
};

}  // namespace ventile
