// A map on its way: what feeds tasks to a job and takes their results, bounded in between.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include <ventile/compute/job_port.hpp>
#include <ventile/compute/pieces.hpp>

namespace ventile {

struct MapOptions {
  std::uint64_t window = std::uint64_t{1} << 18;  // Tasks read ahead of what has been taken.
  std::uint64_t window_bytes = std::uint64_t{64}
                               << 20;  // Of results that wait to be taken; then nothing is read ahead.
  // Called by whoever takes the results, now and then: how many were taken, how many submitted.
  std::function<void(std::uint64_t taken, std::uint64_t submitted)> on_progress = {};
};

namespace detail {

// Fed and emptied by one thread; filled by the reactor's.
class MapCore : public Receiver, public PieceSource, public std::enable_shared_from_this<MapCore> {
public:
  // Writes at most so many payloads; false when there are no more.
  using Fill = std::function<bool(PayloadWriter&, std::uint32_t count_max)>;

  MapCore(std::shared_ptr<JobPort> port, MapOptions options, bool ordered, bool completes);

  void feed_from(Fill fill) { fill_ = std::move(fill); }
  void feed_index(std::uint64_t count);
  void expire_at(TimePoint deadline) { deadline_ = deadline; }

  // Waits for the next piece, and feeds meanwhile. None when all is done. What `fill` throws comes out here.
  std::optional<Piece> next() override;
  void cancel(const std::string& why) override;

  const std::string& function() const override { return port_->function(); }

  void on_results(const Arrival& arrival) override;
  void on_outcome(Range range, const TaskReport& report) override;

private:
  std::shared_ptr<JobPort> port_;
  MapOptions options_;
  bool ordered_;
  bool completes_;
  Fill fill_;
  std::optional<TimePoint> deadline_;
  bool ended_ = false;  // Nothing more to feed.
  std::uint32_t block_ = 16;
  std::uint64_t submitted_ = 0;
  std::uint64_t taken_ = 0;
  struct Open {
    Range range;
    std::uint64_t left = 0;
  };
  std::deque<Open> blocks_;  // Submitted, not wholly taken.
  Number expected_ = 0;      // In order: the next number to take.
  std::uint64_t pieces_taken_ = 0;

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::map<Number, Piece> pieces_;
  std::uint64_t held_bytes_ = 0;

  bool wants_more(std::uint64_t held) const;
  void feed();
  void add_block(Range range);
  void end();
  void report_progress();
  std::optional<Piece> take(std::unique_lock<std::mutex>& lock);
  bool is_next_there() const;
  void account(const Piece& piece);
  void add(Piece piece, std::uint64_t bytes);
};

}  // namespace detail
}  // namespace ventile
