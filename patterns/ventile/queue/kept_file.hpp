// The results of one job as they are kept: whole frames, one behind the other, each RESULTS or PROPOSE.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>
#include <ventile/journal/file.hpp>
#include <ventile/queue/delivery.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {

// One thread's, but for sync().
class KeptFile {
public:
  // Errors are Code::overloaded if the disk is full, else Code::failed.
  static Result<std::shared_ptr<KeptFile>> create(Folder& folder, const std::string& name);
  // One that was written before, up to `end`: what is behind was never acknowledged, and is written over. Visits every
  // piece. Code::corrupt if it is shorter, or damaged; the message names it and the offset.
  static Result<std::shared_ptr<KeptFile>> open(Folder& folder, const std::string& name, std::uint64_t end,
                                                const std::function<void(const KeptPiece&)>& visit);

  // Results of the numbers in `range`, which are some of the frame's; or the same outcome for all of them. Where it
  // will be, when flush() has succeeded.
  KeptPiece add(const Envelope& envelope, const Results& results, Bytes frame, Range range);
  KeptPiece add(JobId job, const Propose& outcome);
  // Hands all of it to the system. After an error nothing is lost: the next call tries again.
  Status flush();
  Status sync() { return file_->sync(); }
  Result<Buffer> read(const KeptPiece& piece) const;

  std::uint64_t end() const { return written_; }  // Of what was flushed.
  std::uint64_t bytes() const { return written_ + unwritten_.size(); }

private:
  KeptFile(std::unique_ptr<File> file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  std::unique_ptr<File> file_;
  std::string name_;
  std::uint64_t written_ = 0;
  Buffer unwritten_;

  KeptPiece append(Bytes frame, Range range, std::uint64_t bytes);
  Status scan(std::uint64_t end, const std::function<void(const KeptPiece&)>& visit);
};

}  // namespace ventile
