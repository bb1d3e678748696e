// The journal of a role: a writer's thread, and a reactor that hears from it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/journal/writer.hpp>
#include <ventile/net/reactor.hpp>

namespace ventile {

// Belongs to the reactor's thread, on which everything is called.
class RoleJournal {
public:
  struct Callbacks {
    std::function<void(std::uint64_t token)> on_persisted;
    std::function<void(const std::string& why)> on_failed;  // Leave: nothing more will be durable.
    std::function<Status()> before_commit;                  // On the writer's thread.
  };

  // Opens or makes the journal of `owner` in the folder, which nobody else may have open, and visits what is in it.
  static Result<std::unique_ptr<RoleJournal>> open(const std::string& path, const std::string& owner, Reactor& reactor,
                                                   Log log, const RecordVisitor& visit);
  ~RoleJournal();
  RoleJournal(const RoleJournal&) = delete;
  RoleJournal& operator=(const RoleJournal&) = delete;

  // Begins to write. Nothing may be appended before.
  void start(Callbacks callbacks);
  // Tokens of 0 are not reported. Failures come through on_failed.
  void append(std::uint64_t token, std::uint16_t kind, Buffer payload);
  void append_snapshot(std::uint64_t token, std::uint16_t kind, Buffer payload);
  std::uint64_t bytes_since_snapshot() const { return writer_->bytes_since_snapshot(); }
  std::uint64_t cut_bytes() const { return cut_bytes_; }

private:
  RoleJournal(std::string path, Reactor& reactor, Log log);

  std::string path_;
  Reactor& reactor_;
  Log log_;
  std::unique_ptr<Folder> folder_;
  std::unique_ptr<Journal> journal_;  // Until start().
  std::unique_ptr<JournalWriter> writer_;
  std::shared_ptr<Callbacks> callbacks_;  // Posted functions may outlive this object, and then find it empty.
  std::uint64_t last_token_ = 0;
  std::uint64_t cut_bytes_ = 0;

  void check(const Status& appended);
};

}  // namespace ventile
