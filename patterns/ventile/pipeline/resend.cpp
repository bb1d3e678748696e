#include <ventile/pipeline/resend.hpp>

#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>

namespace ventile {
namespace {

constexpr std::uint64_t pieces = 8;  // A gap is sent again in so many.

std::uint64_t rest(std::uint64_t window, std::uint64_t used) { return window > used ? window - used : 0; }

}  // namespace

Resend::Actions Resend::take_actions() { return std::exchange(actions_, {}); }

Duration Resend::patience() const { return std::max(options_.patience_min, options_.patience_factor * slowest_); }

// --- Batches come, leave and are done -----------------------------------------------------------------------------

void Resend::add(Entry entry) {
  const SendId id{++next_id_};
  actions_.push_back(Send{id, entry.lease, entry.missing.ranges(), entry.resends > 0});
  leases_[entry.lease].sends.insert(id);
  if (entry.resends > 0) outstanding_ = id;
  entries_.emplace(id, std::move(entry));
}

void Resend::on_batch(LeaseId lease, Range range, std::uint64_t bytes) {
  Held& held = leases_[lease];
  held.bytes += bytes;
  held.left += range.count;
  tasks_ += range.count;
  bytes_ += bytes;
  add({.lease = lease, .missing = IntervalSet{range}});
}

void Resend::on_sent(SendId id, TimePoint now) {
  auto it = entries_.find(id);
  if (it == entries_.end()) return;
  it->second.sent = now;
  it->second.settled_before = settled_;
}

void Resend::on_done(LeaseId lease, Range range, TimePoint now) {
  auto held = leases_.find(lease);
  if (held == leases_.end()) return;
  std::uint64_t count = 0;
  const std::set<SendId> sends = held->second.sends;
  for (const SendId id : sends) {
    Entry& entry = entries_.at(id);
    const std::uint64_t here = entry.missing.erase(range);
    if (here == 0) continue;
    count += here;
    if (entry.sent && !entry.due) slowest_ = std::max(slowest_, now - *entry.sent);
    if (entry.missing.empty()) {
      ++settled_;
      erase(id);
    }
  }
  if (count == 0) return;
  done_tasks_ += count;
  free_lease(lease, count);
  mark_due(now);
}

void Resend::erase(SendId id) {
  if (outstanding_ == id) outstanding_.reset();
  due_.erase(id);
  leases_.at(entries_.at(id).lease).sends.erase(id);
  entries_.erase(id);
}

void Resend::free_lease(LeaseId lease, std::uint64_t count) {
  Held& held = leases_.at(lease);
  tasks_ -= count;
  if (!planted("a stream's credit is not given again")) freed_.tasks += count;
  held.left -= count;
  if (held.left > 0) return;
  bytes_ -= held.bytes;
  freed_.bytes += held.bytes;
  leases_.erase(lease);
}

// --- Gaps ---------------------------------------------------------------------------------------------------------

// At most a window was under way before it, so that of two windows that were settled since, one came after it.
bool Resend::passed(const Entry& entry) const {
  return entry.sent && settled_ - entry.settled_before >= std::uint64_t{2} * options_.window_batches;
}

TimePoint Resend::deadline(const Entry& entry) const {
  return entry.sent ? *entry.sent + patience() * (std::int64_t{1} << entry.resends) : never;
}

// The oldest is the first to be passed and to be late.
void Resend::mark_due(TimePoint now) {
  for (auto& [id, entry] : entries_) {
    if (entry.due) continue;
    if ((!passed(entry) && now < deadline(entry)) || planted("a gap is not noticed")) break;
    entry.due = true;
    due_.insert(id);
  }
  if (outstanding_) {
    const Entry& entry = entries_.at(*outstanding_);
    if (now < deadline(entry)) return;
    const SendId id = *std::exchange(outstanding_, {});
    if (entry.resends >= options_.resends_max || planted("a gap is given up at once"))
      give_up(id);
    else if (!planted("a gap is sent again once only"))
      due_.insert(id);
  }
  if (!outstanding_ && !due_.empty()) send_again(*due_.begin());
}

void Resend::send_again(SendId id) {
  Entry& entry = entries_.at(id);
  Entry piece{.lease = entry.lease, .missing = {}, .resends = entry.resends + 1, .due = true};
  std::uint64_t wanted = (entry.missing.count() + pieces - 1) / pieces;
  while (wanted > 0) {
    const Range front = entry.missing.front();
    const Range part{front.first, std::min(wanted, front.count)};
    piece.missing.insert(part);
    entry.missing.erase(planted("a gap's rest is forgotten") ? entry.missing.front() : part);
    wanted -= part.count;
  }
  resent_tasks_ += piece.missing.count();
  if (entry.missing.empty()) erase(id);
  add(std::move(piece));
}

void Resend::give_up(SendId id) {
  const Entry& entry = entries_.at(id);
  const LeaseId lease = entry.lease;
  const std::uint64_t count = entry.missing.count();
  actions_.push_back(GiveUp{lease, entry.missing.ranges(), entry.resends + 1});
  erase(id);
  free_lease(lease, count);
}

void Resend::on_tick(TimePoint now) { mark_due(now); }

TimePoint Resend::next_tick() const {
  if (outstanding_) return deadline(entries_.at(*outstanding_));
  for (const auto& [id, entry] : entries_)
    if (!entry.due) return deadline(entry);
  return never;
}

// --- What is known ------------------------------------------------------------------------------------------------

void Resend::on_new_session() {
  counted_ = true;
  freed_ = {};
  base_ = {rest(options_.window_tasks, tasks_), rest(options_.window_bytes, bytes_)};
}

Credit Resend::credit() const {
  if (!counted_) return {options_.window_tasks, options_.window_bytes};
  return {base_.tasks + freed_.tasks, base_.bytes + freed_.bytes};
}

std::vector<Range> Resend::missing(LeaseId lease) const {
  IntervalSet all;
  if (auto it = leases_.find(lease); it != leases_.end())
    for (const SendId id : it->second.sends)
      for (const Range range : entries_.at(id).missing.ranges()) all.insert(range);
  return all.ranges();
}

std::vector<LeaseId> Resend::leases() const {
  std::vector<LeaseId> all;
  for (const auto& [lease, held] : leases_) all.push_back(lease);
  return all;
}

}  // namespace ventile
