// The results of a job that a broker keeps, on their way to the thread that walks over them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <ventile/compute/pieces.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/client.hpp>

namespace ventile::detail {

// The broker sends no more than its client's window ahead of what was taken.
class FetchCore : public JobListener, public PieceSource, public std::enable_shared_from_this<FetchCore> {
public:
  FetchCore(Reactor& reactor, Client& client, std::string job, std::string function);

  // Asks for them; to be called once.
  void start();

  // In order. Throws TaskError if the broker does not give them, or not any more.
  std::optional<Piece> next() override;
  void cancel(const std::string& why) override;
  const std::string& function() const override { return function_; }
  // See KeptResults::confirm().
  void confirm();

  // On the reactor's thread.
  void on_results(const Arrival& arrival) override;
  void on_outcome(const Submission::DeliverOutcome& outcome) override;
  void on_whole(std::uint64_t total) override;
  void on_over(const std::string& error) override;

private:
  Reactor& reactor_;
  Client& client_;
  std::string name_;
  std::string function_;
  JobId job_;  // Known to the reactor's thread only.

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::map<Number, Piece> pieces_;
  Number expected_ = 0;                 // The next number to take.
  std::optional<std::uint64_t> total_;  // Once all have come.
  std::optional<std::string> over_;     // Nothing more comes, and why; empty: it was confirmed.

  void add(Piece piece);
  bool is_next_there() const { return !pieces_.empty() && pieces_.begin()->first == expected_; }
  bool is_walked() const { return total_ == expected_; }
  [[noreturn]] void refuse() const;
};

}  // namespace ventile::detail
