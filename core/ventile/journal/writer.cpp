#include <ventile/journal/writer.hpp>

#include <utility>

namespace ventile {

JournalWriter::JournalWriter(std::unique_ptr<Journal> journal, JournalWriterOptions options, Callbacks callbacks)
    : journal_(std::move(journal)), options_(options), callbacks_(std::move(callbacks)) {
  since_snapshot_ = journal_->bytes_since_snapshot();
  thread_ = std::thread([this] { run(); });
}

JournalWriter::~JournalWriter() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status JournalWriter::append(std::uint64_t token, std::uint16_t kind, Buffer payload) {
  return add({token, RecordRole::record, kind, std::move(payload)});
}

Status JournalWriter::append_snapshot(std::uint64_t token, std::uint16_t kind, Buffer payload) {
  return add({token, RecordRole::snapshot, kind, std::move(payload)});
}

Status JournalWriter::add(Entry entry) {
  {
    const std::lock_guard lock{mutex_};
    if (!health_) return health_;
    if (queued_bytes_ > 0 && queued_bytes_ + entry.payload.size() > options_.queued_bytes_max)
      return Error{Code::overloaded,
                   "the journal cannot keep up: " + std::to_string(queued_bytes_) + " bytes wait for the disk"};
    queued_bytes_ += entry.payload.size();
    queue_.push_back(std::move(entry));
  }
  changed_.notify_all();
  return {};
}

bool JournalWriter::full() const {
  const std::lock_guard lock{mutex_};
  return full_;
}
std::uint64_t JournalWriter::queued_bytes() const {
  const std::lock_guard lock{mutex_};
  return queued_bytes_;
}
std::uint64_t JournalWriter::bytes_since_snapshot() const {
  const std::lock_guard lock{mutex_};
  return since_snapshot_;
}
std::uint64_t JournalWriter::flushes() const {
  const std::lock_guard lock{mutex_};
  return flushes_;
}

// --- The thread --------------------------------------------------------------------------------------------------

// What gathers while one batch is written makes the next. A snapshot is a batch by itself.
std::deque<JournalWriter::Entry> JournalWriter::take_batch() {
  std::deque<Entry> batch;
  std::uint64_t bytes = 0;
  while (!queue_.empty() && bytes < options_.batch_bytes_max) {
    const bool alone = queue_.front().role == RecordRole::snapshot;
    if (alone && !batch.empty()) break;
    bytes += queue_.front().payload.size() + record_header_size;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (alone) break;
  }
  return batch;
}

void JournalWriter::run() {
  std::unique_lock lock{mutex_};
  while (true) {
    if (queue_.empty() && !stop_) {
      lock.unlock();
      const Status sealed = journal_->seal();  // A full disk only costs the seal.
      const bool room = journal_->has_room();
      lock.lock();
      if (!sealed && sealed.error().code != Code::overloaded) {
        health_ = sealed;
        lock.unlock();
        if (callbacks_.on_failed) callbacks_.on_failed(sealed.error());
        return;
      }
      if (room && full_) say_full(false);
      const auto work = [this] { return stop_ || !queue_.empty(); };
      if (full_)
        changed_.wait_for(lock, options_.retry, work);
      else
        changed_.wait(lock, work);
      continue;
    }
    if (queue_.empty()) break;
    std::deque<Entry> batch = take_batch();
    lock.unlock();
    const bool flushed = flush(batch);
    lock.lock();
    if (!flushed) return;
    for (const Entry& entry : batch) queued_bytes_ -= entry.payload.size();
    since_snapshot_ = journal_->bytes_since_snapshot();
    ++flushes_;
  }
  static_cast<void>(journal_->seal());
}

bool JournalWriter::flush(std::deque<Entry>& batch) {
  Status done;
  for (const Entry& entry : batch) {
    done = entry.role == RecordRole::snapshot ? journal_->append_snapshot(entry.kind, entry.payload)
                                              : journal_->append(entry.kind, entry.payload);
    if (!done) break;
  }
  if (done && callbacks_.before_commit) done = callbacks_.before_commit();
  if (done) done = commit_until_there_is_room();
  if (done) {
    if (callbacks_.on_persisted) callbacks_.on_persisted(batch.back().token);
    const bool room = journal_->has_room();
    const std::lock_guard lock{mutex_};
    if (room == full_) say_full(!room);
    return true;
  }
  const bool gave_up = done.error().code == Code::overloaded;  // Stopped while the disk was full.
  {
    const std::lock_guard lock{mutex_};
    health_ = done;
  }
  if (!gave_up && callbacks_.on_failed) callbacks_.on_failed(done.error());
  return false;
}

// A batch that does not fit waits; so does everything behind it.
Status JournalWriter::commit_until_there_is_room() {
  while (true) {
    Status done = journal_->commit();
    if (done || done.error().code != Code::overloaded) return done;
    std::unique_lock lock{mutex_};
    if (!full_) say_full(true);
    if (stop_ || changed_.wait_for(lock, options_.retry, [this] { return stop_; })) return done;
  }
}

void JournalWriter::say_full(bool full) {
  full_ = full;
  if (callbacks_.on_full) callbacks_.on_full(full);
}

}  // namespace ventile
