// Results on their way, as whoever asked for them walks over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <ventile/compute/fetch_core.hpp>
#include <ventile/compute/pieces.hpp>
#include <ventile/compute/task_error.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {

namespace detail {

// The number's result, or a TaskError.
template <class R>
R result_of(const Piece& piece, Number number, const std::string& function) {
  if (const auto* report = std::get_if<TaskReport>(&piece.what)) throw TaskError(*report);
  const auto& arrival = std::get<Arrival>(piece.what);
  if (failure_of(arrival, number) != nullptr) throw TaskError(report_of(arrival, number, function));
  if constexpr (std::is_void_v<R>) {
    return;
  } else {
    Unpacker unpacker{arrival.results->payloads[arrival.offset_of(number)]};
    R value{};
    if (!unpack_value(unpacker, value))
      throw TaskError({Outcome::failed, "result", unpacker.error().message, function, arrival.worker, 1});
    return value;
  }
}

}  // namespace detail

// The results of a map, to be walked once. What is not walked to its end is cancelled.
template <class R>
class MapResults {
public:
  explicit MapResults(std::shared_ptr<detail::PieceSource> source) : source_(std::move(source)) {}
  ~MapResults() {
    if (source_ != nullptr) source_->cancel("nobody waits for the rest of its results");
  }
  MapResults(MapResults&&) noexcept = default;
  MapResults& operator=(MapResults&&) = delete;

  class Iterator {
  public:
    using value_type = R;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    explicit Iterator(MapResults* results) : results_(results) { results_->load(); }

    // Unpacks the result, each time. Throws TaskError if the task did not end well; going on is possible.
    R operator*() const {
      return detail::result_of<R>(*results_->piece_, results_->at_, results_->source_->function());
    }
    Iterator& operator++() {
      if (++results_->at_ == results_->piece_->range.end()) results_->load();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !results_->piece_; }

  private:
    MapResults* results_ = nullptr;
  };

  Iterator begin() { return Iterator{this}; }
  std::default_sentinel_t end() const { return {}; }

private:
  std::shared_ptr<detail::PieceSource> source_;
  std::optional<detail::Piece> piece_;
  Number at_ = 0;

  void load() {
    piece_ = source_->next();
    if (piece_) at_ = piece_->range.first;
  }
};

// The results of a job that a broker keeps, to be walked once and then confirmed; the broker has them until then, and
// whoever fetches the job again gets all of them again.
template <class R>
class KeptResults : public MapResults<R> {
public:
  explicit KeptResults(const std::shared_ptr<detail::FetchCore>& fetch) : MapResults<R>(fetch), fetch_(fetch) {}

  // Everything is safe where it was put: the broker removes the job. Waits until it has. Throws std::logic_error if
  // results are left that were not walked over, TaskError if the broker does not know the job any more.
  void confirm() { fetch_->confirm(); }

private:
  std::shared_ptr<detail::FetchCore> fetch_;
};

}  // namespace ventile
