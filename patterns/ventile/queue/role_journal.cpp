#include <ventile/queue/role_journal.hpp>

#include <utility>

namespace ventile {

RoleJournal::RoleJournal(std::string path, Reactor& reactor, Log log)
    : path_(std::move(path)), reactor_(reactor), log_(std::move(log)) {}
RoleJournal::~RoleJournal() {
  if (callbacks_ != nullptr) *callbacks_ = {};
}

Result<std::unique_ptr<RoleJournal>> RoleJournal::open(const std::string& path, const std::string& owner,
                                                       Reactor& reactor, Log log, const RecordVisitor& visit) {
  std::unique_ptr<RoleJournal> made{new RoleJournal{path, reactor, std::move(log)}};
  Result<std::unique_ptr<Folder>> folder = open_folder(path, true);
  if (!folder) return folder.error();
  made->folder_ = std::move(*folder);
  Result<std::unique_ptr<Journal>> journal = Journal::open(*made->folder_, {.owner = owner}, visit);
  if (!journal) return journal.error();
  made->journal_ = std::move(*journal);
  made->cut_bytes_ = made->journal_->cut_bytes();
  if (made->cut_bytes_ > 0)
    made->log_.info("cut a torn tail of " + std::to_string(made->cut_bytes_) + " bytes off the journal in " + path +
                    "; none of it had been acknowledged");
  return made;
}

void RoleJournal::start(Callbacks callbacks) {
  callbacks_ = std::make_shared<Callbacks>(std::move(callbacks));
  // What is owed to the sink or the ventilator bounds what can wait here.
  JournalWriterOptions options{.queued_bytes_max = UINT64_MAX};
  JournalWriter::Callbacks heard;
  heard.before_commit = callbacks_->before_commit;
  heard.on_persisted = [this, shared = callbacks_](std::uint64_t token) {
    reactor_.post([shared, token] {
      if (shared->on_persisted) shared->on_persisted(token);
    });
  };
  heard.on_full = [path = path_, log = log_](bool full) {
    full ? log.error("no room on the disk for the journal in " + path + "; what comes waits until there is")
         : log.info("there is room again for the journal in " + path);
  };
  heard.on_failed = [this, shared = callbacks_](const Error& error) {
    reactor_.post([shared, why = error.message] {
      if (shared->on_failed) shared->on_failed(why);
    });
  };
  writer_ = std::make_unique<JournalWriter>(std::move(journal_), options, std::move(heard));
}

// After a failure on_failed has been called, or is about to be.
void RoleJournal::check(const Status& appended) {
  if (!appended) log_.debug(appended.error().message);
}

void RoleJournal::append(std::uint64_t token, std::uint16_t kind, Buffer payload) {
  last_token_ = std::max(last_token_, token);
  check(writer_->append(last_token_, kind, std::move(payload)));
}

void RoleJournal::append_snapshot(std::uint64_t token, std::uint16_t kind, Buffer payload) {
  last_token_ = std::max(last_token_, token);
  check(writer_->append_snapshot(last_token_, kind, std::move(payload)));
}

}  // namespace ventile
