// Gathers the results of consecutive tasks into the payload section of one frame, or into one folded value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <ventile/task/batch.hpp>
#include <ventile/task/event.hpp>
#include <ventile/wire/convert.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

struct ResultLimits {
  std::size_t headroom = 0;           // Bytes kept free in front of the payloads, for the frame's header.
  std::size_t section_bytes_max = 0;  // Results are gathered up to this; a larger one travels alone.
  std::size_t result_bytes_max = 0;   // A larger one fails its task. At least 1,024.
};

// Not thread-safe. It does not decide when a run of results ends: see TaskRun.
class ResultWriter {
public:
  explicit ResultWriter(const ResultLimits& limits);

  // From now on results are of this job. Only while empty.
  void begin(const TaskJob& job);

  enum class Added : std::uint8_t {
    yes,
    no_room,     // It lies packed behind the finished payloads, open: end_open(), take_open() or discard_open() it.
    unfoldable,  // The fold cannot take it, for the reason in fold_error().
  };
  // Adds the next task's result. If packing or the fold throws, call discard_open().
  template <class R>
  Added add(R&& value) {
    if (accumulator_ != nullptr) return fold(value);
    Packer packer{writer_.buffer()};
    pack_value(packer, value);
    return end_if_room();
  }
  Added add_packed(Bytes packed);
  // Adds the next task's failure as its payload. Not while folding.
  Added add_error(const FailureText& error, Outcome outcome = Outcome::failed);

  std::size_t open_bytes() { return writer_.buffer().size() - limits_.headroom - writer_.size(); }
  void end_open();
  std::vector<std::byte> take_open();
  void discard_open() { writer_.discard_open(); }
  const std::string& fold_error() const { return fold_error_; }

  bool folding() const { return accumulator_ != nullptr; }
  bool empty() const { return count_ == 0; }
  std::uint32_t count() const { return count_; }  // Tasks since the last take().

  // Moves what was added since the last take() into `finished`: payloads, failures and whether it is folded.
  void take(Finished& finished);

private:
  ResultLimits limits_;
  PayloadWriter writer_;
  std::uint32_t count_ = 0;
  std::vector<Failure> failures_;
  std::unique_ptr<FoldAccumulator> accumulator_;
  Buffer scratch_;
  std::string fold_error_;

  Added end_if_room() {
    const std::size_t table = (std::size_t{count_} + 1) * sizeof(std::uint32_t);
    if (writer_.buffer().size() - limits_.headroom + table > limits_.section_bytes_max) [[unlikely]]
      return Added::no_room;
    end_open();
    return Added::yes;
  }

  template <class R>
  Added fold(R& value) {
    using Value = std::remove_cv_t<R>;
    bool added = false;
    if constexpr (std::is_arithmetic_v<Value> && !std::is_same_v<Value, bool>) {
      added = accumulator_->add_scalar(Scalar{value});
    } else if constexpr (!std::is_const_v<R> && !std::is_empty_v<Value>) {
      added = accumulator_->add_typed(typeid(Value), &value);
    }
    if (!added) {
      scratch_.clear();
      Packer packer{scratch_};
      pack_value(packer, value);
      if (Status status = accumulator_->add_packed(scratch_.bytes()); !status) return unfoldable(status.error());
    }
    ++count_;
    return Added::yes;
  }
  Added unfoldable(const Error& error);
  void write_fold(Finished& finished);
};

inline void ResultWriter::end_open() {
  writer_.end_payload();
  ++count_;
}

}  // namespace ventile
