#include <ventile/compute/pool.hpp>

namespace ventile {
namespace {

// Takes the results of tasks that have none.
class Nothing {
public:
  static std::uint64_t lift(Bytes) { return 1; }
};

struct CancelOnExit {
  detail::MapCore& core;
  ~CancelOnExit() { core.cancel("its reduction has ended"); }
};

// A job that is not handed over to its end is left as it is, and not closed as if it were whole.
struct LeaveOnExit {
  detail::JobPort& port;
  ~LeaveOnExit() { port.leave("it was not handed over to its end"); }
};

void add_piece(const detail::Piece& piece, const std::string& function, FoldAccumulator& total) {
  if (const auto* report = std::get_if<TaskReport>(&piece.what)) throw TaskError(*report);
  const auto& arrival = std::get<Arrival>(piece.what);
  const auto check = [&](const Status& status) {
    if (!status) throw TaskError({Outcome::failed, "fold", status.error().message, function, arrival.worker, 1});
  };
  if (arrival.results == nullptr) return;
  if (arrival.results->folded) return check(total.merge_packed(arrival.results->payloads[0]));
  for (Number number = piece.range.first; number < piece.range.end(); ++number) {
    if (detail::failure_of(arrival, number) != nullptr) throw TaskError(detail::report_of(arrival, number, function));
    check(total.add_packed(arrival.results->payloads[arrival.offset_of(number)]));
  }
}

// A reducer that the worker of this process knows for as long as this lives.
class LentFold {
public:
  LentFold(detail::Fabric& fabric, std::shared_ptr<const FoldFunction> fold, const std::string& known_as)
      : fabric_(fabric), lent_(fabric.lend_fold(std::move(fold))), name_(lent_.empty() ? known_as : lent_) {}
  ~LentFold() {
    if (!lent_.empty()) fabric_.return_fold(lent_);
  }
  LentFold(const LentFold&) = delete;
  LentFold& operator=(const LentFold&) = delete;

  const std::string& name() const { return name_; }

private:
  detail::Fabric& fabric_;
  std::string lent_;
  std::string name_;
};

}  // namespace

void Pool::attend(detail::FutureState& state, const std::shared_ptr<detail::JobPort>& port, Number number,
                  const TaskOptions& options) {
  state.on_cancel([weak = std::weak_ptr(port), number] {
    const auto alive = weak.lock();
    if (alive == nullptr) return false;
    alive->settle({number, 1}, Outcome::cancelled, "it was cancelled");
    return true;
  });
  if (options.deadline) port->settle_at(*options.deadline, {number, 1}, Outcome::expired, "its deadline has passed");
}

void Pool::run_folded(const std::string& function, const IndexRule& index,
                      const std::shared_ptr<const FoldFunction>& fold, const std::string& known_as,
                      FoldAccumulator& total, const std::function<void(detail::MapCore&)>& feed) {
  const LentFold lent{*fabric_, fold, known_as};
  Submit specification;
  specification.function = function;
  specification.index = index;
  specification.fold = lent.name();
  const auto port = fabric_->open(std::move(specification));
  const auto core = std::make_shared<detail::MapCore>(port, MapOptions{}, false, true);
  const CancelOnExit cancel{*core};
  feed(*core);
  while (const std::optional<detail::Piece> piece = core->next()) add_piece(*piece, function, total);
}

void Pool::run_counted(const std::string& function, const IndexRule& index, std::uint64_t count) {
  const auto plus = std::plus<std::uint64_t>{};
  const auto fold = std::make_shared<detail::BoundFold<std::uint64_t, decltype(plus), std::uint64_t (*)(Bytes)>>(
      "", plus, &Nothing::lift);
  const std::unique_ptr<FoldAccumulator> total = fold->start();
  run_folded(function, index, fold, "count", *total, [count](detail::MapCore& core) { core.feed_index(count); });
}

std::uint64_t Pool::hand_over(const KeepOptions& options, const std::string& job, const std::string& function,
                              detail::MapCore::Fill fill) {
  Submit specification = detail::specification_of(function, options.task);
  specification.name = job;
  specification.kept = true;
  specification.source = options.source;
  const auto port = fabric_->open(std::move(specification));
  const LeaveOnExit left{*port};
  const auto core = std::make_shared<detail::MapCore>(port, MapOptions{}, false, true);
  core->feed_from(std::move(fill));
  std::uint64_t count = 0;
  while (const std::optional<detail::Piece> piece = core->next()) {
    if (const auto* report = std::get_if<TaskReport>(&piece->what)) throw TaskError(*report);
    count += piece->range.count;
  }
  port->wait_until_kept();
  return count;
}

}  // namespace ventile
