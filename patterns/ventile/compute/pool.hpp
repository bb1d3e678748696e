// Many tasks on many threads, or on a cluster, by one program.
//
//   TaskRegistry tasks;
//   auto area = tasks.add("area", estimate_area);                  // double(std::uint64_t seed, std::uint32_t darts)
//
//   Pool pool{tasks};                                              // Every processor of this machine.
//   Pool pool{tasks, "tcp://head:5570"};                           // The same program on a broker's workers.
//
//   Future<double> one = pool.submit(area, 7, 1'000'000);
//   for (double a : pool.map(area, seeds, 1'000'000)) use(a);      // In order, read ahead but not without bound.
//   double sum = pool.map_reduce(area, std::plus<>{}, seeds, 1'000'000);
//
//   pool.keep("nightly", area, seeds, 1'000'000);                  // Left to the broker; this program may end,
//   auto areas = pool.fetch("nightly", area);                      // and another come for the results.
//
// Arguments are values for the task's parameters or, in a map, also ranges of them; what does not fit does not compile.
// A task that throws makes get(), or the place where a map is dereferenced, throw a TaskError.
//
// Every function may be called from any thread and from within tasks, where waiting lends the slot to others. With an
// address, the workers' registries must have the functions; a function must not depend on the state of this process.
#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <ventile/compute/arguments.hpp>
#include <ventile/compute/fabric.hpp>
#include <ventile/compute/future.hpp>
#include <ventile/compute/map_core.hpp>
#include <ventile/compute/map_results.hpp>
#include <ventile/task/fold.hpp>
#include <ventile/task/registry.hpp>

namespace ventile {

namespace detail {

// Brings one task's result to its future.
template <class T>
class FutureReceiver final : public Receiver {
public:
  FutureReceiver(std::shared_ptr<ValueState<T>> state, std::string function)
      : state_(std::move(state)), function_(std::move(function)) {}

  void on_results(const Arrival& arrival) override {
    const Number number = arrival.range.first;
    if (failure_of(arrival, number) != nullptr)
      state_->set_error(std::make_exception_ptr(TaskError(report_of(arrival, number, function_))));
    else
      state_->set_packed(arrival.results->payloads[arrival.offset_of(number)]);
  }
  void on_outcome(Range, const TaskReport& report) override {
    state_->set_error(std::make_exception_ptr(TaskError(report)));
  }

private:
  std::shared_ptr<ValueState<T>> state_;
  std::string function_;
};

}  // namespace detail

class Pool {
public:
  // Threads of this process. The registry is copied: what is added later is not known here.
  explicit Pool(const TaskRegistry& tasks, PoolOptions options = {})
      : fabric_(std::make_unique<detail::Fabric>(tasks, std::nullopt, std::move(options))) {}
  // A broker's workers. Throws std::invalid_argument if `address` is none or there is no key in `options.keys`. Whether
  // somebody is there is not waited for: tasks wait, and the log says what for.
  Pool(const TaskRegistry& tasks, const std::string& address, PoolOptions options = {})
      : fabric_(std::make_unique<detail::Fabric>(tasks, address, std::move(options))) {}
  // As PoolOptions::on_destruction says. In a fork of the process nothing is touched.
  ~Pool() {
    if (fabric_ != nullptr && fabric_->is_forked()) (void)fabric_.release();
  }
  Pool(Pool&&) noexcept = default;
  Pool& operator=(Pool&&) = delete;

  // Runs one task. Waits only while very many are on their way.
  template <class R, class... P, class... A>
  auto submit(const Task<R(P...)>& task, A&&... arguments) {
    return submit(TaskOptions{}, task, std::forward<A>(arguments)...);
  }
  template <class R, class... P, class... A>
  auto submit(const TaskOptions& options, const Task<R(P...)>& task, A&&... arguments) {
    if constexpr (detail::check_count<sizeof...(P), sizeof...(A)>()) {
      if constexpr ((detail::check_argument<P, A>() && ...)) {
        using T = detail::KeptType<R>;
        auto state = std::make_shared<detail::ValueState<T>>(fabric_->callbacks());
        const std::shared_ptr<detail::JobPort> port = fabric_->stream(task.name, options);
        const Number number =
            port->submit([&](Packer& packer) { (detail::pack_argument<P>(packer, std::forward<A>(arguments)), ...); },
                         std::make_shared<detail::FutureReceiver<T>>(state, task.name));
        attend(*state, port, number, options);
        return Future<T>{std::move(state)};
      }
    }
  }

  // Runs the task for each value of the ranges among the arguments, side by side to the end of the shortest; other
  // arguments are the same for all. Ranges may be infinite, and views; they are read by the thread that walks the
  // results, some way ahead of it. A range that is passed as an lvalue must live as long as the results.
  template <class R, class... P, class... A>
  auto map(const Task<R(P...)>& task, A&&... arguments) {
    return map_with<R>(true, TaskOptions{}, MapOptions{}, task, std::forward<A>(arguments)...);
  }
  template <class R, class... P, class... A>
  auto map(const TaskOptions& options, const MapOptions& map_options, const Task<R(P...)>& task, A&&... arguments) {
    return map_with<R>(true, options, map_options, task, std::forward<A>(arguments)...);
  }
  // The same, in the order in which results come.
  template <class R, class... P, class... A>
  auto map_unordered(const Task<R(P...)>& task, A&&... arguments) {
    return map_with<R>(false, TaskOptions{}, MapOptions{}, task, std::forward<A>(arguments)...);
  }
  template <class R, class... P, class... A>
  auto map_unordered(const TaskOptions& options, const MapOptions& map_options, const Task<R(P...)>& task,
                     A&&... arguments) {
    return map_with<R>(false, options, map_options, task, std::forward<A>(arguments)...);
  }

  // Waits, and gives the results combined by `reduce`, which is T(T, T), associative and commutative; of nothing, T{}.
  // In a pool of this process they are combined where they arise; on a cluster where a worker knows how (std::plus on
  // numbers: by the reducer "sum"; a name may be given instead), and else here. Throws the first TaskError.
  template <class R, class... P, class Reduce, class... A>
  auto map_reduce(const Task<R(P...)>& task, Reduce reduce, A&&... arguments) {
    using T = detail::KeptType<R>;
    if constexpr (check_sources<P...>(static_cast<std::remove_reference_t<A>*>(nullptr)...)) {
      auto sources = make_sources<P...>(std::forward<A>(arguments)...);
      return run_reduced<T>(task.name, {}, std::move(reduce), [&](detail::MapCore& core) {
        core.feed_from(
            [sources](PayloadWriter& payloads, std::uint32_t most) { return sources->fill(payloads, most); });
      });
    } else {
      return T{};
    }
  }

  // Runs the task for each integer of [first, last), of which nothing but the two ends travels, and waits. Throws the
  // first TaskError.
  template <class R, class P>
  void for_index(const Task<R(P)>& task, std::int64_t first, std::int64_t last) {
    check_index<P>();
    run_counted(task.name, IndexRule{true, first, 1}, count_between(first, last));
  }
  // The same with results that are combined as in map_reduce().
  template <class R, class P, class Reduce>
  auto for_index(const Task<R(P)>& task, std::int64_t first, std::int64_t last, Reduce reduce) {
    check_index<P>();
    return run_reduced<detail::KeptType<R>>(
        task.name, IndexRule{true, first, 1}, std::move(reduce),
        [&](detail::MapCore& core) { core.feed_index(count_between(first, last)); });
  }

  // Leaves the job to a broker that keeps results (`--durable`): hands over the task's arguments, which are as in
  // map(), and returns how many tasks there are when the broker has all of them on its disk. Their results stay there
  // until fetch(), here or in another program, has taken them. Throws what a range throws, and TaskError if the broker
  // refuses the job; of what was handed over until then nothing is lost, and the same call with the same arguments goes
  // on. `options.deadline` has no effect, for nobody is there to see to it.
  template <class R, class... P, class... A>
  std::uint64_t keep(const std::string& job, const Task<R(P...)>& task, A&&... arguments) {
    return keep(KeepOptions{}, job, task, std::forward<A>(arguments)...);
  }
  template <class R, class... P, class... A>
  std::uint64_t keep(const KeepOptions& options, const std::string& job, const Task<R(P...)>& task, A&&... arguments) {
    if constexpr (check_sources<P...>(static_cast<std::remove_reference_t<A>*>(nullptr)...)) {
      auto sources = make_sources<P...>(std::forward<A>(arguments)...);
      return hand_over(options, job, task.name, [sources](PayloadWriter& payloads, std::uint32_t most) {
        return sources->fill(payloads, most);
      });
    } else {
      return 0;
    }
  }
  // The results of a kept job, in the order of its tasks; those of tasks that are yet to run as they come. Walking over
  // them throws TaskError if there is no such job.
  template <class R, class... P>
  auto fetch(const std::string& job, const Task<R(P...)>& task) {
    return KeptResults<detail::KeptType<R>>{fabric_->fetch(job, task.name)};
  }
  // Removes a kept job with its tasks and results; false if there is none of that name. Waits for the broker.
  bool discard(const std::string& job) { return fabric_->discard(job); }

  // Waits until nothing that was submitted is open.
  void wait() { fabric_->wait(); }
  // Ends the pool: nothing can be submitted any more. Waits as `how` says.
  void shut_down(Shutdown how) { fabric_->shut_down(how); }
  // What the pool and, with an address, its broker are doing.
  PoolStats stats() const { return fabric_->stats(); }

private:
  std::unique_ptr<detail::Fabric> fabric_;

  static std::uint64_t count_between(std::int64_t first, std::int64_t last) {
    return last > first ? static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) : 0;
  }

  template <class P>
  static constexpr void check_index() {
    static_assert(std::is_arithmetic_v<detail::Value<P>> && !std::is_same_v<detail::Value<P>, bool>,
                  "Ventile: for_index takes a task with one parameter, which is a number.");
  }

  static void attend(detail::FutureState& state, const std::shared_ptr<detail::JobPort>& port, Number number,
                     const TaskOptions& options);

  template <class... P, class... A>
  static consteval bool check_sources(A*...) {
    if constexpr (detail::check_count<sizeof...(P), sizeof...(A)>()) {
      if constexpr ((detail::check_source<P, A&>() && ...)) {
        static_assert((detail::FeedsParameter<A&, P> || ...),
                      "Ventile: map needs at least one range among its arguments.");
        return (detail::FeedsParameter<A&, P> || ...);
      }
    }
    return false;
  }
  template <class... P, class... A>
  static auto make_sources(A&&... arguments) {
    return std::make_shared<detail::Arguments<typename detail::FeederOf<P, A>::type...>>(std::forward<A>(arguments)...);
  }

  template <class R, class... P, class... A>
  auto map_with(bool ordered, const TaskOptions& options, const MapOptions& map_options, const Task<R(P...)>& task,
                A&&... arguments) {
    using T = detail::KeptType<R>;
    if constexpr (check_sources<P...>(static_cast<std::remove_reference_t<A>*>(nullptr)...)) {
      auto sources = make_sources<P...>(std::forward<A>(arguments)...);
      auto core = std::make_shared<detail::MapCore>(fabric_->stream(task.name, options), map_options, ordered, false);
      if (options.deadline) core->expire_at(*options.deadline);
      core->feed_from([sources](PayloadWriter& payloads, std::uint32_t most) { return sources->fill(payloads, most); });
      return MapResults<T>{std::move(core)};
    }
  }

  // The name by which a cluster's workers know the reduction, if they do.
  template <class T, class Reduce>
  static std::string known_fold(const Reduce&) {
    const bool sums = std::is_same_v<Reduce, std::plus<>> || std::is_same_v<Reduce, std::plus<T>>;
    return sums && std::is_arithmetic_v<T> ? "sum" : "";
  }

  template <class T, class Reduce, class Feed>
  T run_reduced(const std::string& function, const IndexRule& index, Reduce reduce, Feed feed) {
    static_assert(std::is_invocable_r_v<T, const Reduce&, T, T>,
                  "Ventile: a reduction combines two results into one: T(T, T).");
    const auto fold = std::make_shared<detail::BoundFold<T, Reduce, detail::NoLift>>("", reduce, detail::NoLift{});
    const std::unique_ptr<FoldAccumulator> total = fold->start();
    run_folded(function, index, fold, known_fold<T>(reduce), *total, feed);
    Buffer packed;
    Packer packer{packed};
    total->pack(packer);
    Unpacker unpacker{packed};
    T value{};
    if (!total->empty() && !unpack_value(unpacker, value))
      throw TaskError({Outcome::failed, "result", unpacker.error().message, function, {}, 1});
    return value;
  }

  void run_folded(const std::string& function, const IndexRule& index, const std::shared_ptr<const FoldFunction>& fold,
                  const std::string& known_as, FoldAccumulator& total,
                  const std::function<void(detail::MapCore&)>& feed);
  void run_counted(const std::string& function, const IndexRule& index, std::uint64_t count);
  std::uint64_t hand_over(const KeepOptions& options, const std::string& job, const std::string& function,
                          detail::MapCore::Fill fill);
};

}  // namespace ventile
