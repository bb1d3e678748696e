// What the word count of some files comes to: the value that travels from workers to the sink.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <unordered_map>

struct Tally {
  std::uint64_t files = 0;    // Read as text.
  std::uint64_t skipped = 0;  // Compressed, binary or unreadable.
  std::uint64_t bytes = 0;    // Of the files read.
  std::unordered_map<std::string, std::uint64_t> words;

  static auto fields(auto& tally) { return std::tie(tally.files, tally.skipped, tally.bytes, tally.words); }
};
