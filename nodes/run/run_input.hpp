// The tasks of a run, as the ventilator reads them: one per command line, or one per block of standard input.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nodes/io/byte_reader.hpp>
#include <nodes/run/arguments.hpp>
#include <nodes/run/task_report.hpp>
#include <ventile/queue/input.hpp>

namespace ventile {

// True for a task that need not run.
using PassOver = std::function<bool(const std::vector<std::string>& arguments, std::uint64_t sequence)>;

// What each task is given beside its arguments: the files that it takes along.
using Provision = std::function<void(RunInput& input)>;

// Payloads are RunInputs. What is passed over has a sequence number all the same.
std::unique_ptr<Input> make_run_input(std::unique_ptr<Arguments> arguments, PassOver pass_over,
                                      Provision provision = {});

// Tasks that are known already, with the numbers that they have.
std::unique_ptr<Input> make_listed_input(std::vector<RunInput> tasks);

struct BlockOptions {
  std::uint64_t block_bytes = std::uint64_t{1} << 20;
  std::string record_end = "\n";
  std::string record_start;
  std::uint32_t records = 0;  // So many in each block; 0: as many as fit.
  std::uint64_t block_bytes_max = std::uint64_t{1} << 30;
};

// Splits what is read into blocks of whole records. A block has at most `block_bytes`, unless its one record has more.
class BlockReader {
public:
  BlockReader(std::unique_ptr<ByteReader> reader, BlockOptions options);

  // Waits for the next block. False at the end and after interrupt(). Code::invalid if a record is too long.
  Result<bool> next(std::string& block);
  ByteReader& reader() { return *reader_; }

private:
  std::unique_ptr<ByteReader> reader_;
  BlockOptions options_;
  std::string border_;  // Where records meet.

  std::size_t block_end(std::string_view text, bool at_end) const;
};

std::unique_ptr<Input> make_block_input(BlockReader blocks, Provision provision = {});

}  // namespace ventile
