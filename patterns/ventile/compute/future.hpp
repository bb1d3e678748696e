// The result of a task that may still be on its way.
//
//   Future<double> area = pool.submit(area_task, 7, 1'000'000);
//   area.then([](double a) { return a * 2; }).get();
//   double a = co_await pool.submit(area_task, 8, 1'000'000);
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/compute/callbacks.hpp>
#include <ventile/compute/task_error.hpp>
#include <ventile/task/blocking.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {

template <class T>
class Future;

namespace detail {

// What a caller keeps of a result: views own their bytes.
template <class R>
struct Kept {
  using type = std::remove_cvref_t<R>;
};
template <>
struct Kept<std::string_view> {
  using type = std::string;
};
template <>
struct Kept<Bytes> {
  using type = std::vector<std::byte>;
};
template <class R>
using KeptType = typename Kept<std::remove_cvref_t<R>>::type;

// What is common to all futures: set once, by whoever has the result, and then never changed.
class FutureState {
public:
  explicit FutureState(std::shared_ptr<Callbacks> callbacks) : callbacks_(std::move(callbacks)) {}
  virtual ~FutureState() = default;
  FutureState(const FutureState&) = delete;
  FutureState& operator=(const FutureState&) = delete;

  bool ready() const { return ready_.load(std::memory_order_acquire); }
  void wait();
  bool wait_until(std::chrono::steady_clock::time_point when);
  bool cancel();

  // `function` is called once, when the result is there: at once on the thread that brings it (it must be short and not
  // throw), or on the callbacks' thread.
  void when_ready_at_once(std::function<void()> function);
  void when_ready(std::function<void()> function);

  void set_error(std::exception_ptr error);
  void on_cancel(std::function<bool()> cancel);
  const std::shared_ptr<Callbacks>& callbacks() const { return callbacks_; }

protected:
  void rethrow_if_failed() const {
    if (error_) std::rethrow_exception(error_);
  }
  // Calls `set` and makes the state ready, unless it is.
  void become_ready(const std::function<void()>& set);

private:
  std::shared_ptr<Callbacks> callbacks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> ready_ = false;
  std::exception_ptr error_;
  std::vector<std::function<void()>> at_once_;
  std::function<bool()> cancel_;
};

template <class T>
class ValueState : public FutureState {
public:
  using FutureState::FutureState;
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  void set_value(Value value) {
    become_ready([&] { value_.emplace(std::move(value)); });
  }
  // A packed result, read where it is asked for.
  void set_packed(Bytes packed) {
    become_ready([&] { packed_.assign(packed.begin(), packed.end()); });
  }

  // Once, when ready.
  Value take() {
    rethrow_if_failed();
    if (value_) return std::move(*value_);
    if constexpr (std::is_void_v<T>) {
      return {};
    } else if constexpr (Unpackable<T>) {
      Result<T> value = unpack_from<T>(packed_);
      if (!value) throw TaskError({Outcome::failed, "result", value.error().message, {}, {}, 1});
      return std::move(*value);
    } else {
      throw std::logic_error("a result of this type cannot be unpacked");
    }
  }

private:
  std::optional<Value> value_;
  std::vector<std::byte> packed_;
};

// Calls `function` and puts what it returns, or throws, into `state`.
template <class U, class Function>
void fulfil(ValueState<U>& state, Function&& function) {
  try {
    if constexpr (std::is_void_v<U>) {
      function();
      state.set_value({});
    } else {
      state.set_value(function());
    }
  } catch (...) {
    state.set_error(std::current_exception());
  }
}

template <class T>
class FuturePromise;

}  // namespace detail

// Moves, does not copy; one thread at a time. Whoever lets go of it lets the task run all the same.
template <class T>
class [[nodiscard]] Future {
public:
  using promise_type = detail::FuturePromise<T>;

  Future() = default;
  explicit Future(std::shared_ptr<detail::ValueState<T>> state) : state_(std::move(state)) {}

  bool valid() const { return state_ != nullptr; }  // False after get() and then().
  bool ready() const { return state().ready(); }

  // Waits. In a task, the slot is lent to other tasks meanwhile.
  void wait() const { state().wait(); }
  // True if it became ready in time.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> patience) const {
    return state().wait_until(std::chrono::steady_clock::now() + patience);
  }
  bool wait_until(std::chrono::steady_clock::time_point when) const { return state().wait_until(when); }

  // Waits, and gives the result away. Throws TaskError if the task did not end well.
  T get() {
    const auto state = take_state();
    state->wait();
    if constexpr (std::is_void_v<T>)
      state->take();
    else
      return state->take();
  }

  // A task that waits is not run any more unless it begins before its worker hears of it, one that runs sees its stop
  // token; in either case get() throws a TaskError whose outcome is cancelled. False if the result was there first.
  bool cancel() const { return state().cancel(); }

  // Calls `function` with the result when it is there, on a thread of the pool's own, in which it may wait for others
  // but holds up other callbacks. If the task failed, it is not called, and the error goes on to the future that this
  // returns; so does what it throws. A function that takes a Future<T> is called either way, with one that is ready.
  template <class Function>
  auto then(Function function) {
    const auto state = take_state();
    if constexpr (std::is_invocable_v<Function&, Future>) {
      return attach<std::invoke_result_t<Function&, Future>>(
          state, [state, function = std::move(function)]() mutable { return function(Future{state}); });
    } else if constexpr (std::is_void_v<T>) {
      static_assert(std::is_invocable_v<Function&>,
                    "Ventile: then() takes a function without parameters here, or one "
                    "that takes the Future.");
      return attach<std::invoke_result_t<Function&>>(state, [state, function = std::move(function)]() mutable {
        state->take();
        return function();
      });
    } else {
      static_assert(std::is_invocable_v<Function&, T>,
                    "Ventile: then() takes a function of the task's result, or of the Future.");
      return attach<std::invoke_result_t<Function&, T>>(
          state, [state, function = std::move(function)]() mutable { return function(state->take()); });
    }
  }

  // co_await: the coroutine goes on on the pool's thread for callbacks.
  auto operator co_await() {
    struct Awaiter {
      std::shared_ptr<detail::ValueState<T>> state;
      bool await_ready() const { return state->ready(); }
      void await_suspend(std::coroutine_handle<> waiting) {
        state->when_ready([waiting] { waiting.resume(); });
      }
      T await_resume() {
        if constexpr (std::is_void_v<T>)
          state->take();
        else
          return state->take();
      }
    };
    return Awaiter{take_state()};
  }

  const std::shared_ptr<detail::ValueState<T>>& shared_state() const { return state_; }

private:
  std::shared_ptr<detail::ValueState<T>> state_;

  detail::ValueState<T>& state() const {
    if (state_ == nullptr) throw std::logic_error("ventile::Future: its result was taken already");
    return *state_;
  }
  std::shared_ptr<detail::ValueState<T>> take_state() {
    (void)state();
    return std::move(state_);
  }
  template <class U, class Function>
  static Future<U> attach(const std::shared_ptr<detail::ValueState<T>>& state, Function function) {
    auto next = std::make_shared<detail::ValueState<U>>(state->callbacks());
    next->on_cancel([weak = std::weak_ptr(state)] {
      const auto before = weak.lock();
      return before != nullptr && before->cancel();
    });
    state->when_ready(
        [next, shared = std::make_shared<Function>(std::move(function))] { detail::fulfil(*next, *shared); });
    return Future<U>{next};
  }
};

namespace detail {

// A coroutine that returns a Future begins at once, and its future is ready when it has returned.
template <class T>
class PromiseBase {
public:
  Future<T> get_return_object() { return Future<T>{state_}; }
  std::suspend_never initial_suspend() noexcept { return {}; }
  std::suspend_never final_suspend() noexcept { return {}; }
  void unhandled_exception() { state_->set_error(std::current_exception()); }

protected:
  std::shared_ptr<ValueState<T>> state_ = std::make_shared<ValueState<T>>(nullptr);
};
template <class T>
class FuturePromise : public PromiseBase<T> {
public:
  void return_value(T value) { this->state_->set_value(std::move(value)); }
};
template <>
class FuturePromise<void> : public PromiseBase<void> {
public:
  void return_void() { state_->set_value({}); }
};

// The order in which futures become ready.
class ReadyQueue {
public:
  void push(std::size_t index);
  std::size_t pop();  // Waits.

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::size_t> ready_;
};

}  // namespace detail

// Waits until all are ready; errors stay in them.
template <class Futures>
void wait_all(const Futures& futures) {
  for (const auto& future : futures) future.wait();
}

// Calls `function` with each of the futures, ready, in the order in which they become so.
//
//   for_each_completed(futures, [](Future<double> f) { use(f.get()); });
template <class T, class Function>
void for_each_completed(std::vector<Future<T>>& futures, Function function) {
  const auto queue = std::make_shared<detail::ReadyQueue>();
  for (std::size_t i = 0; i < futures.size(); ++i)
    futures[i].shared_state()->when_ready_at_once([queue, i] { queue->push(i); });
  for (std::size_t left = futures.size(); left > 0; --left) function(std::move(futures[queue->pop()]));
}

// The same as a range: for (Future<double>& f : as_completed(futures)) use(f.get());
template <class T>
class Completed {
public:
  explicit Completed(std::vector<Future<T>>& futures)
      : futures_(&futures), queue_(std::make_shared<detail::ReadyQueue>()) {
    for (std::size_t i = 0; i < futures.size(); ++i)
      futures[i].shared_state()->when_ready_at_once([queue = queue_, i] { queue->push(i); });
  }

  class Iterator {
  public:
    using value_type = Future<T>;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    explicit Iterator(Completed& completed) : completed_(&completed), left_(completed.futures_->size()) { next(); }
    Future<T>& operator*() const { return (*completed_->futures_)[at_]; }
    Iterator& operator++() {
      --left_;
      next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return left_ == 0; }

  private:
    Completed* completed_ = nullptr;
    std::size_t left_ = 0;
    std::size_t at_ = 0;
    void next() {
      if (left_ > 0) at_ = completed_->queue_->pop();
    }
  };
  Iterator begin() { return Iterator{*this}; }
  std::default_sentinel_t end() const { return {}; }

private:
  std::vector<Future<T>>* futures_;
  std::shared_ptr<detail::ReadyQueue> queue_;
};

// The futures, which must stay where they are, in the order in which they become ready. To be walked once.
template <class T>
Completed<T> as_completed(std::vector<Future<T>>& futures) {
  return Completed<T>{futures};
}

}  // namespace ventile
