// A journal in a test: records are numbers with some bytes behind them, so that each can be told from each.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <ventile/journal/journal.hpp>

#include "memory_folder.hpp"

namespace ventile {

inline constexpr std::uint16_t story_kind = 7;

// Record number `n`: its length differs from its neighbours'.
inline Buffer record_of(std::uint64_t n) {
  Buffer bytes;
  std::memcpy(bytes.extend(sizeof n), &n, sizeof n);
  for (std::uint64_t i = 0; i < n % 41; ++i) bytes.append(static_cast<std::byte>(n + i));
  return bytes;
}

inline std::uint64_t number_of(Bytes payload) {
  std::uint64_t n = 0;
  EXPECT_GE(payload.size(), sizeof n);
  std::memcpy(&n, payload.data(), sizeof n);
  return n;
}

// What a reader has seen: the numbers of the records since the last snapshot, whose payload says how many it stands
// for.
struct Seen {
  std::uint64_t before = 0;  // The snapshot's.
  std::vector<std::uint64_t> numbers;

  Status visit(const RecordView& record) {
    if (record.role == RecordRole::snapshot) {
      before = number_of(record.payload);
      numbers.clear();
    } else {
      EXPECT_EQ(record.kind, story_kind);
      const std::uint64_t n = number_of(record.payload);
      const Buffer expected = record_of(n);
      EXPECT_TRUE(record.payload.size() == expected.size() &&
                  std::memcmp(record.payload.data(), expected.data(), expected.size()) == 0);
      numbers.push_back(n);
    }
    return {};
  }
  // The numbers are before, before + 1, …: returns how many records there have been in all, or none if one is missing.
  std::optional<std::uint64_t> total() const {
    for (std::size_t i = 0; i < numbers.size(); ++i)
      if (numbers[i] != before + i) return std::nullopt;
    return before + numbers.size();
  }
};

inline JournalOptions small_segments(std::uint64_t bytes = 4096) { return {.owner = "test", .segment_bytes = bytes}; }

inline Result<std::unique_ptr<Journal>> open_story(Folder& folder, Seen& seen,
                                                   JournalOptions options = small_segments()) {
  return Journal::open(folder, std::move(options), [&seen](const RecordView& record) { return seen.visit(record); });
}

}  // namespace ventile
