#include <ventile/queue/keeper.hpp>

#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>

namespace ventile {

Keeper::Keeper(KeeperOptions options, std::unique_ptr<Folder> folder, KeeperHandlers handlers)
    : options_(std::move(options)), handlers_(std::move(handlers)), folder_(std::move(folder)) {}
Keeper::~Keeper() = default;

// --- Jobs --------------------------------------------------------------------------------------------------------

Status Keeper::begin(JobId id, const std::vector<KeptRecord>& records, TimePoint now) {
  Job job;
  job.id = id;
  job.peer = local_peer(++next_peer_);
  job.incarnation = {handlers_.random()};
  const std::uint64_t end = records.empty() ? 0 : records.back().end;
  const auto add = [&job](const KeptPiece& piece) { job.delivery.add(piece); };
  Result<std::shared_ptr<KeptFile>> file =
      end == 0 ? KeptFile::create(*folder_, name_of(id)) : KeptFile::open(*folder_, name_of(id), end, add);
  if (!file) return file.error();
  job.file = std::move(*file);
  CollectorOptions options;
  options.node = {handlers_.random(), handlers_.random()};
  options.incarnation = job.incarnation;
  options.name = "keeper";
  options.results_address = options_.results_address;
  options.stay = options.durable = true;
  options.window_bytes = options_.window_bytes;
  job.collector = std::make_unique<Collector>(std::move(options));
  job.collector->restore({.job = id, .whole = true});
  for (const KeptRecord& kept : records) job.collector->restore(kept.record);
  Job& kept = jobs_.emplace(id, std::move(job)).first->second;
  peers_[kept.peer] = id;
  count(kept);
  kept.collector->start(now);
  carry_out(kept, now);
  return {};
}

void Keeper::forget(JobId id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  Job& job = it->second;
  bytes_ -= job.counted_bytes;
  peers_.erase(job.peer);
  handlers_.say(job.peer, {{{}, job.incarnation, job.own_session, ++job.sequence}, Bye{}});
  if (Status removed = folder_->remove(name_of(id)); !removed) options_.log.warning(removed.error().message);
  jobs_.erase(it);
  for (auto& [other_id, other] : jobs_) other.dirty = other.dirty || full_;
}

void Keeper::remove_others() {
  const Result<std::vector<std::string>> names = folder_->list();
  if (!names) return;
  for (const std::string& name : *names) {
    const bool is_known =
        std::any_of(jobs_.begin(), jobs_.end(), [&name](const auto& entry) { return name == name_of(entry.first); });
    if (is_known || !name.ends_with(".results")) continue;
    if (Status removed = folder_->remove(name); !removed) options_.log.warning(removed.error().message);
  }
}

bool Keeper::is_clean() const {
  return std::none_of(jobs_.begin(), jobs_.end(), [](const auto& entry) { return entry.second.dirty; });
}

std::optional<KeptRecord> Keeper::record(JobId id) const {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return std::nullopt;
  return KeptRecord{id, it->second.collector->snapshot(), it->second.file->end()};
}

// --- What comes in -----------------------------------------------------------------------------------------------

Status Keeper::take(Bytes frame, std::shared_ptr<const void> memory, TimePoint now) {
  Held held{std::move(memory), frame, {}, {}};
  Result<Received> received = decode(frame);
  if (!received) return received.error();
  auto* const results = std::get_if<Results>(&received->message);
  if (results == nullptr) return Error{Code::invalid, "it is no result"};
  const auto it = jobs_.find(received->envelope.job);
  if (it == jobs_.end()) return {};
  held.envelope = received->envelope;
  held.results = std::move(*results);
  Job& job = it->second;
  const FrameId id{++frames_};
  const Held& kept = job.held.emplace(id, std::move(held)).first->second;
  job.collector->on_results(id, kept.envelope, kept.results);
  job.dirty = true;
  carry_out(job, now);
  return {};
}

void Keeper::hear(PeerId local, JobId, SessionId session, const Message& message, TimePoint now) {
  const auto peer = peers_.find(local);
  if (peer == peers_.end() || std::holds_alternative<Bye>(message) || std::holds_alternative<Close>(message)) return;
  Job& job = jobs_.at(peer->second);
  if (std::holds_alternative<Welcome>(message)) job.own_session = session;
  job.dirty = job.dirty || std::holds_alternative<Propose>(message);
  job.collector->on_message({{job.id, {}, session, 0}, message}, now);
  carry_out(job, now);
}

void Keeper::act(const Keeping& keeping) {
  const auto it = jobs_.find(keeping.job);
  if (it == jobs_.end()) return;
  Job& job = it->second;
  if (const auto* deliver = std::get_if<Keeping::Deliver>(&keeping.what)) {
    job.client = deliver->to;
    job.session = deliver->session;
    job.delivery.begin(deliver->fetch);
  } else if (const auto* grant = std::get_if<Keeping::Grant>(&keeping.what)) {
    job.delivery.grant(grant->credit);
  } else if (std::holds_alternative<Keeping::Stop>(keeping.what)) {
    job.delivery.stop();
  }
}

void Keeper::on_persisted(JobId id, std::uint64_t token, TimePoint now) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  Job& job = it->second;
  const auto is_safe = [token](const Unsafe& one) { return one.token <= token; };
  const auto rest = std::find_if_not(job.unsafe.begin(), job.unsafe.end(), is_safe);
  for (auto one = job.unsafe.begin(); one != rest; ++one)
    for (const KeptPiece& piece : one->pieces) job.delivery.add(piece);
  job.unsafe.erase(job.unsafe.begin(), rest);
  job.collector->on_persisted(token, now);
  carry_out(job, now);
}

// --- At the end of a turn ----------------------------------------------------------------------------------------

bool Keeper::on_turn_end(TimePoint now) {
  std::uint64_t sent = 0;
  bool all_sent = true;
  for (auto& [id, job] : jobs_) {
    if (job.dirty) flush(job, now);
    all_sent = deliver(job, sent) && all_sent;
  }
  return all_sent;
}

// While the disk is full nothing is acknowledged, so that credit runs out; every turn tries again.
void Keeper::flush(Job& job, TimePoint now) {
  const bool has_new = job.file->bytes() > job.file->end();
  const Status flushed = job.file->flush();
  if (!flushed && flushed.error().code == Code::overloaded) {
    if (!std::exchange(said_no_room_, true))
      options_.log.error(flushed.error().message + "; what comes waits until there is room");
    return;
  }
  if (!flushed) return handlers_.on_failed(flushed.error().message);
  if (std::exchange(said_no_room_, false)) options_.log.info("there is room again for kept results");
  job.dirty = false;
  if (has_new) {
    const std::lock_guard lock(mutex_);
    if (std::find(unsynced_.begin(), unsynced_.end(), job.file) == unsynced_.end()) unsynced_.push_back(job.file);
  }
  job.collector->on_written(now);
  carry_out(job, now);
  count(job);
}

void Keeper::count(Job& job) {
  bytes_ = bytes_ - job.counted_bytes + job.file->bytes();
  job.counted_bytes = job.file->bytes();
  const bool full = options_.bytes_max != 0 && bytes_ >= options_.bytes_max;
  if (std::exchange(full_, full) != full)
    for (auto& [id, other] : jobs_) handlers_.on_kept(id, other.counted_bytes, full);
  handlers_.on_kept(job.id, job.counted_bytes, full);
}

// False if there is more to send than one turn should take.
bool Keeper::deliver(Job& job, std::uint64_t& sent) {
  while (sent < options_.delivered_max) {
    const std::optional<KeptPiece> piece = job.delivery.next();
    if (!piece) return true;
    Result<Buffer> bytes = job.file->read(*piece);
    if (!bytes) {
      handlers_.on_failed(bytes.error().message);
      return true;
    }
    sent += bytes->size();
    if (type_of(bytes->bytes()) == Results::type) {
      handlers_.send_results(job.client, job.session, std::move(*bytes));
      continue;
    }
    if (const Result<Received> received = decode(bytes->bytes()))
      handlers_.send(job.client, job.id, job.session, received->message);
  }
  return false;
}

Status Keeper::sync() {
  std::vector<std::shared_ptr<KeptFile>> files;
  if (planted("kept results are not synced")) return {};
  {
    const std::lock_guard lock(mutex_);
    files.swap(unsynced_);
  }
  for (const std::shared_ptr<KeptFile>& file : files)
    if (Status synced = file->sync(); !synced) return synced;
  return {};
}

// --- What Collector wants ----------------------------------------------------------------------------------------

void Keeper::carry_out(Job& job, TimePoint now) {
  for (Collector::Actions actions = job.collector->take_actions(); !actions.empty();
       actions = job.collector->take_actions())
    for (auto& action : actions) {
      const bool finalises = std::holds_alternative<Collector::Finalise>(action);
      std::visit([this, &job](auto& a) { act(job, a); }, action);
      if (finalises) job.collector->on_finalised(now);
    }
}

void Keeper::act(Job& job, Collector::Say& say) {
  handlers_.say(job.peer, {{say.job, job.incarnation, say.session, ++job.sequence}, std::move(say.message)});
}

void Keeper::act(Job& job, Collector::Write& write) {
  const Held& held = job.held.at(write.frame);
  job.written.push_back(job.file->add(held.envelope, held.results, held.frame, write.range));
}

void Keeper::act(Job& job, Collector::WriteOutcome& write) {
  const Propose outcome{{write.range}, write.outcome, write.tries, std::move(write.kind), std::move(write.message)};
  job.written.push_back(job.file->add(job.id, outcome));
}

void Keeper::act(Job& job, Collector::Persist& persist) {
  if (planted("a kept result is sent before the disk knows"))
    for (const KeptPiece& piece : std::exchange(job.written, {})) job.delivery.add(piece);
  job.unsafe.push_back({persist.token, std::exchange(job.written, {})});
  handlers_.append(job.id, persist.token, pack_entry(KeptRecord{job.id, std::move(persist.record), job.file->end()}));
}

void Keeper::act(Job&, Notice& notice) { options_.log.write(notice.level, notice.text); }

}  // namespace ventile
