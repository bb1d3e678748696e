#include <ventile/journal/format.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <ventile/base/crc32c.hpp>

#include "story.hpp"

namespace ventile {
namespace {

TEST(JournalFormat, a_record_is_read_back_where_it_stands_and_nowhere_else) {
  Buffer segment;
  append_segment_header(segment, {1, owner_tag("test"), 1'000});
  append_record(segment, RecordRole::record, 7, 1'000, as_bytes("hello"));
  const std::optional<RecordView> record = record_at(segment, segment_header_size, 1'000);
  ASSERT_TRUE(record);
  EXPECT_EQ(as_text(record->payload), "hello");
  EXPECT_EQ(record->kind, 7);
  EXPECT_EQ(record->size(), 32U);
  EXPECT_FALSE(record_at(segment, segment_header_size, 2'000)) << "old bytes at a new place are no record";
  EXPECT_FALSE(record_at(segment, segment_header_size + 8, 1'000));
  EXPECT_FALSE(record_at(segment, segment.size(), 1'000));
}

TEST(JournalFormat, a_name_says_where_a_segment_begins) {
  EXPECT_EQ(segment_name(0xa4c00), "00000000000a4c00.segment");
  EXPECT_EQ(segment_position("00000000000a4c00.segment"), 0xa4c00U);
  for (const char* const other : {"reserve", "a4c00.segment", "00000000000A4C00.segment", "00000000000a4c00.segment2"})
    EXPECT_FALSE(segment_position(other)) << other;
}

TEST(JournalFormat, a_header_of_another_version_is_named) {
  Buffer header;
  append_segment_header(header, {1, owner_tag("test"), 0});
  header.data()[8] = std::byte{2};
  const std::uint32_t checksum = crc32c(header.bytes().first(segment_header_size - 4));
  std::memcpy(header.data() + segment_header_size - 4, &checksum, sizeof checksum);
  const Result<SegmentHeader> read = read_segment_header(header);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_NE(read.error().message.find("format 2"), std::string::npos);
}

// The bytes behind the "```hex" of a page, without what is said about them.
Buffer hex_of(const std::string& page) {
  std::ifstream file{page};
  Buffer bytes;
  bool within = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) within = line == "```hex";
    if (!within || line.starts_with("```")) continue;
    std::istringstream words{line.substr(0, line.find("  "))};
    for (unsigned value = 0; words >> std::hex >> value;) bytes.append(static_cast<std::byte>(value));
  }
  return bytes;
}

TEST(JournalFormat, the_example_of_the_page_is_what_is_written) {
  const Buffer page = hex_of(FORMAT_PAGE);
  Buffer segment;
  append_segment_header(segment, {0x0123456789abcdef, owner_tag("test"), 0});
  append_record(segment, RecordRole::record, 7, 0, as_bytes("hello"));
  append_commit(segment, 32, {0, 0, 1});
  append_commit(segment, 80, {80, 80, 0});
  EXPECT_EQ(std::vector(page.data(), page.data() + page.size()),
            std::vector(segment.data(), segment.data() + segment.size()));
}

}  // namespace
}  // namespace ventile
