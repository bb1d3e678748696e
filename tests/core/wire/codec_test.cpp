#include <ventile/wire/codec.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <ventile/base/crc32c.hpp>
#include <ventile/wire/pack.hpp>

#include "tests/support/allocations.hpp"
#include "tests/support/random.hpp"
#include "tests/support/random_message.hpp"

namespace ventile {
namespace {

using ::testing::HasSubstr;
using testing::message_types;
using testing::Outgoing;
using testing::Random;
using testing::random_message;

// Where things are in a frame, written down once more from frame.hpp.
constexpr std::size_t version_at = 4;
constexpr std::size_t type_at = 8;
constexpr std::size_t flags_at = 9;
constexpr std::size_t header_length_at = 10;
constexpr std::size_t body_length_at = 12;
constexpr std::size_t payload_count_at = 16;
constexpr std::size_t payload_length_at = 20;
constexpr std::size_t content_crc_at = 64;
constexpr std::size_t header_crc_at = 68;

template <class T>
void put(Buffer& frame, std::size_t at, T value) {
  std::memcpy(frame.data() + at, &value, sizeof value);
}
template <class T>
T get(const Buffer& frame, std::size_t at) {
  T value;
  std::memcpy(&value, frame.data() + at, sizeof value);
  return value;
}

// Makes the checksums right again, as an attacker would.
void repair_checksums(Buffer& frame) {
  put(frame, content_crc_at, crc32c(frame.bytes().subspan(frame_header_size)));
  put(frame, header_crc_at, crc32c(frame.bytes().first(header_crc_at)));
}

Buffer copy_of(Bytes bytes) {
  Buffer copy;
  copy.append(bytes);
  return copy;
}

bool same(Bytes a, Bytes b) { return as_text(a) == as_text(b); }

Buffer frame_of(const Message& message, const std::vector<std::string>& payloads = {}) {
  PayloadWriter writer{frame_header_size};
  for (const std::string& payload : payloads) writer.append(as_bytes(payload));
  return encode({{1, 2}, {3}, {4}, 5}, message, std::move(writer));
}

std::vector<std::string> payloads_in(const Buffer& frame) {
  std::vector<std::string> all;
  const Result<Received> received = decode(frame);
  if (!received) return {received.error().message};
  const PayloadView& payloads = std::get<Tasks>(received->message).payloads;
  for (std::uint32_t i = 0; i < payloads.count(); ++i) all.emplace_back(as_text(payloads[i]));
  return all;
}

// A frame whose body is these bytes, whatever they are.
Buffer frame_with_body(std::uint8_t type, Bytes body) {
  Buffer frame = frame_of(HelloAgain{});
  frame.truncate(frame_header_size);
  frame.append(body);
  put(frame, type_at, type);
  put(frame, body_length_at, static_cast<std::uint32_t>(body.size()));
  repair_checksums(frame);
  return frame;
}

std::string refusal_of(Bytes frame) {
  const Result<Received> received = decode(frame);
  return received ? "accepted" : received.error().message;
}

// Decodes and looks at everything that was read, so that a sanitizer sees what a receiver would.
bool survives(Bytes frame) {
  const testing::AllocationMeter meter;
  const Result<Received> received = decode(frame);
  EXPECT_LE(meter.peak(), decoding_memory_max(frame.size()));
  if (!received) {
    EXPECT_EQ(received.error().code, Code::invalid);
    return false;
  }
  std::size_t bytes = 0;
  std::visit(
      [&bytes](const auto& message) {
        if constexpr (requires { message.payloads; })
          for (std::uint32_t i = 0; i < message.payloads.count(); ++i)
            for (const std::byte byte : message.payloads[i]) bytes += byte == std::byte{0} ? 1 : 2;
      },
      received->message);
  EXPECT_LE(bytes, 2 * frame.size());
  return true;
}

class EveryMessage : public ::testing::TestWithParam<std::size_t> {
protected:
  Random random{GetParam() + 1};
  Outgoing draw() { return random_message(GetParam(), random); }
  Buffer draw_frame() {
    Outgoing outgoing = draw();
    return encode(outgoing.envelope, outgoing.message, std::move(outgoing.payloads));
  }
};

TEST_P(EveryMessage, comes_back_as_it_was_sent) {
  for (int round = 0; round < 200; ++round) {
    Outgoing sent = draw();
    const Buffer payloads = copy_of(sent.payloads.view().run(0, sent.payloads.count()));
    const std::uint32_t count = sent.payloads.count();
    const Buffer frame = encode(sent.envelope, sent.message, std::move(sent.payloads));
    const Result<Received> received = decode(frame);
    ASSERT_TRUE(received) << received.error().message;
    EXPECT_EQ(received->envelope, sent.envelope);
    ASSERT_EQ(received->message.index(), GetParam());
    std::visit(
        [&]<class M>(const M& message) {
          EXPECT_EQ(M::fields(message), M::fields(std::get<M>(sent.message)));
          if constexpr (requires { message.payloads; }) {
            ASSERT_EQ(message.payloads.count(), count);
            EXPECT_TRUE(same(message.payloads.run(0, count), payloads));
          }
        },
        received->message);
  }
}

TEST_P(EveryMessage, cut_anywhere_is_refused) {
  for (int round = 0; round < 10; ++round) {
    const Buffer frame = draw_frame();
    for (std::size_t size = 0; size < frame.size(); ++size)
      ASSERT_FALSE(decode(copy_of(frame.bytes().first(size)))) << size << " of " << frame.size();
  }
}

TEST_P(EveryMessage, cut_anywhere_is_refused_even_with_good_checksums) {
  for (int round = 0; round < 10; ++round) {
    const Buffer whole = draw_frame();
    for (std::size_t size = frame_header_size; size < whole.size(); ++size) {
      Buffer frame = copy_of(whole.bytes().first(size));
      const auto payloads =
          std::min(get<std::uint32_t>(frame, payload_length_at), static_cast<std::uint32_t>(size - frame_header_size));
      put(frame, payload_length_at, payloads);
      put(frame, body_length_at, static_cast<std::uint32_t>(size - frame_header_size - payloads));
      repair_checksums(frame);
      ASSERT_FALSE(survives(frame)) << size << " of " << whole.size();
    }
  }
}

TEST_P(EveryMessage, with_any_bit_flipped_is_refused) {
  for (int round = 0; round < 5; ++round) {
    Buffer frame = draw_frame();
    for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
      frame.data()[bit / 8] ^= std::byte{1} << (bit % 8);
      ASSERT_FALSE(decode(frame)) << "bit " << bit % 8 << " of byte " << bit / 8;
      frame.data()[bit / 8] ^= std::byte{1} << (bit % 8);
    }
  }
}

TEST_P(EveryMessage, with_any_bit_flipped_and_good_checksums_does_no_harm) {
  for (int round = 0; round < 5; ++round) {
    const Buffer good = draw_frame();
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      Buffer frame = copy_of(good);
      frame.data()[bit / 8] ^= std::byte{1} << (bit % 8);
      repair_checksums(frame);
      survives(frame);
    }
  }
}

TEST_P(EveryMessage, made_of_noise_does_no_harm) {
  for (int round = 0; round < 2000; ++round) {
    Buffer frame = draw_frame();
    for (std::uint64_t changes = random.between(1, 8); changes > 0; --changes)
      put(frame, random.between(type_at, frame.size() - 1), static_cast<std::uint8_t>(random.next()));
    repair_checksums(frame);
    survives(frame);
  }
}

TEST_P(EveryMessage, with_a_field_too_many_or_too_few_is_refused) {
  const Buffer frame = draw_frame();
  const std::size_t body_at = frame_header_size + get<std::uint32_t>(frame, payload_length_at);
  for (const int change : {-1, 1}) {
    Buffer wrong = copy_of(frame);
    const auto lead = static_cast<std::uint8_t>(wrong.data()[body_at]);  // A fixarray: 0x90 + fields.
    if (change < 0 && lead == 0x90) continue;
    put(wrong, body_at, static_cast<std::uint8_t>(lead + change));
    repair_checksums(wrong);
    EXPECT_FALSE(survives(wrong));
  }
}

TEST_P(EveryMessage, with_bytes_behind_the_last_field_is_refused) {
  Buffer frame = draw_frame();
  frame.append(std::byte{0xc0});
  put(frame, body_length_at, get<std::uint32_t>(frame, body_length_at) + 1);
  repair_checksums(frame);
  EXPECT_EQ(refusal_of(frame), "there are bytes behind the last field");
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryMessage, ::testing::Range(std::size_t{0}, message_types), [](const auto& test) {
  Random random{1};
  std::string name = name_of(random_message(test.param, random).message);
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

// --- Headers -----------------------------------------------------------------------------------------------------

TEST(Codec, results_with_large_payloads_come_with_the_checksum_of_each) {
  const std::string first(5'000, 'x');
  const std::string second(4'000, 'y');
  const Buffer frame = frame_of(Results{.range = {0, 2}}, {first, second});
  const Result<Received> received = decode(frame);
  ASSERT_TRUE(received);
  EXPECT_EQ(std::get<Results>(received->message).checksums,
            (std::vector{crc32c(as_bytes(first)), crc32c(as_bytes(second))}));
  for (const std::size_t at : {frame_header_size, frame_header_size + 6'000, frame.size() - 1}) {
    Buffer damaged;
    damaged.append(frame);
    damaged.data()[at] ^= std::byte{4};
    EXPECT_FALSE(decode(damaged)) << at;
  }
}

TEST(Codec, results_with_small_payloads_come_without_checksums) {
  const Buffer frame = frame_of(Results{.range = {0, 2}}, {std::string(6'000, 'x'), "y"});
  const Result<Received> received = decode(frame);
  ASSERT_TRUE(received);
  EXPECT_TRUE(std::get<Results>(received->message).checksums.empty());
}

TEST(Codec, another_version_is_refused_and_can_be_told) {
  Buffer frame = frame_of(Heartbeat{});
  put(frame, version_at, std::uint16_t{7});
  EXPECT_EQ(refusal_of(frame), "protocol version 7, expected 1");
  EXPECT_EQ(*peek_version(frame), 7);
}

TEST(Codec, another_version_may_have_any_form_behind_its_eighth_byte) {
  Buffer frame = frame_of(Heartbeat{});
  put(frame, version_at, std::uint16_t{2});
  EXPECT_EQ(*peek_version(frame.bytes().first(8)), 2);
  EXPECT_EQ(refusal_of(frame.bytes().first(8)), "protocol version 2, expected 1");
}

TEST(Codec, what_is_no_frame_of_ours_has_no_version) {
  EXPECT_FALSE(peek_version(as_bytes("GET / HTTP/1.1\r\n")));
  EXPECT_FALSE(peek_version(as_bytes("VNTL\1")));
  EXPECT_FALSE(peek_version({}));
}

TEST(Codec, an_unknown_type_is_refused) {
  EXPECT_EQ(refusal_of(frame_with_body(0x7f, as_bytes("\x90"))), "message type 127 is unknown");
  EXPECT_EQ(refusal_of(frame_with_body(0x00, as_bytes("\x90"))), "message type 0 is unknown");
}

TEST(Codec, flags_and_header_lengths_that_do_not_exist_are_refused) {
  Buffer frame = frame_of(Heartbeat{});
  put(frame, flags_at, std::uint8_t{2});
  repair_checksums(frame);
  EXPECT_EQ(refusal_of(frame), "the header has another form");
  frame = frame_of(Heartbeat{});
  put(frame, header_length_at, std::uint16_t{80});
  repair_checksums(frame);
  EXPECT_EQ(refusal_of(frame), "the header has another form");
}

TEST(Codec, lengths_that_wrap_around_are_refused) {
  Buffer frame = frame_of(Heartbeat{});
  put(frame, body_length_at, UINT32_MAX);
  put(frame, payload_length_at, std::uint32_t{2});  // The sum is right in 32 bits.
  repair_checksums(frame);
  EXPECT_EQ(refusal_of(frame), "the lengths do not add up");
}

TEST(Codec, a_frame_tells_its_type_without_being_decoded) {
  const Buffer frame = frame_of(Heartbeat{});
  EXPECT_EQ(type_of(frame), Heartbeat::type);
  EXPECT_STREQ(name_of_type(Heartbeat::type), "HEARTBEAT");
  EXPECT_STREQ(name_of_type(0xff), "unknown");
}

// --- Payloads ----------------------------------------------------------------------------------------------------

class LyingTable : public ::testing::Test {
protected:
  Buffer frame = frame_of(Tasks{.range = {0, 3}}, {"one", "two", "three"});
  std::size_t table = frame_header_size + 11;  // Behind the payloads.
  std::string refusal() {
    repair_checksums(frame);
    return refusal_of(frame);
  }
};

TEST_F(LyingTable, that_falls_is_refused) {
  put(frame, table + 4, std::uint32_t{2});
  EXPECT_EQ(refusal(), "the table of payloads is wrong");
}

TEST_F(LyingTable, that_points_behind_the_payloads_is_refused) {
  put(frame, table + 8, std::uint32_t{12});
  EXPECT_EQ(refusal(), "the table of payloads is wrong");
}

TEST_F(LyingTable, that_leaves_bytes_over_is_refused) {
  put(frame, table + 8, std::uint32_t{10});
  EXPECT_EQ(refusal(), "the table of payloads is wrong");
}

TEST_F(LyingTable, that_is_longer_than_the_section_is_refused) {
  put(frame, payload_count_at, std::uint32_t{0x40000001});  // Times four wraps to four in 32 bits.
  EXPECT_EQ(refusal(), "the table of payloads is longer than the payload section");
}

TEST_F(LyingTable, that_has_another_count_than_the_range_is_refused) {
  EXPECT_EQ(refusal_of(frame_of(Tasks{.range = {0, 4}}, {"a", "b", "c"})),
            "the number of payloads is not that of the range");
  EXPECT_EQ(refusal_of(frame_of(Results{.range = {0, 4}}, {"a", "b", "c"})),
            "the number of payloads is not that of the range");
  EXPECT_EQ(refusal_of(frame_of(Results{.range = {0, 3}, .folded = true}, {"a", "b", "c"})),
            "the number of payloads is not that of the range");
}

// --- Payloads of one size, which have no table -------------------------------------------------------------------

class OneSize : public ::testing::Test {
protected:
  std::string refusal_with(std::uint32_t count, std::uint32_t length) {
    put(frame, payload_count_at, count);
    put(frame, payload_length_at, length);
    repair_checksums(frame);
    return refusal_of(frame);
  }

  const std::vector<std::string> payloads{"one ", "two ", "four"};
  Buffer frame = frame_of(Tasks{.range = {7, 3}}, payloads);
  static constexpr auto bytes = 12U;
};

TEST_F(OneSize, travel_without_a_table) {
  const Buffer others = frame_of(Tasks{.range = {7, 3}}, {"one", "two", "fourth"});
  EXPECT_EQ(frame.size() + 3 * sizeof(std::uint32_t), others.size());
  EXPECT_EQ(payloads_in(frame), payloads);
  EXPECT_EQ(payloads_in(frame_of(Tasks{.range = {7, 1}}, {"alone"})), std::vector<std::string>{"alone"});
}

TEST_F(OneSize, may_have_a_table_all_the_same) {
  Buffer with_table{frame.size() + bytes};
  with_table.append(frame.bytes().first(frame_header_size + bytes));
  for (const std::uint32_t end : {4U, 8U, 12U}) with_table.append(std::as_bytes(std::span{&end, 1}));
  with_table.append(frame.bytes().subspan(frame_header_size + bytes));
  frame = std::move(with_table);
  put(frame, flags_at, std::uint8_t{0});
  put(frame, payload_length_at, 2 * bytes);
  repair_checksums(frame);
  EXPECT_EQ(payloads_in(frame), payloads);
}

TEST_F(OneSize, that_are_not_but_look_so_have_a_table) {
  const std::vector<std::string> as_long_in_all{"four", "one", "three"};
  EXPECT_EQ(payloads_in(frame_of(Tasks{.range = {7, 3}}, as_long_in_all)), as_long_in_all);
  const std::vector<std::string> empty{"", ""};
  EXPECT_EQ(payloads_in(frame_of(Tasks{.range = {7, 2}}, empty)), empty);
}

TEST_F(OneSize, are_told_without_decoding) {
  const PayloadView seen = payloads_of(frame);
  ASSERT_EQ(seen.count(), 3U);
  EXPECT_EQ(as_text(seen[1]), "two ");
  EXPECT_EQ(as_text(seen.run(1, 2)), "two four");
}

TEST_F(OneSize, of_none_are_refused) {
  put(frame, body_length_at, static_cast<std::uint32_t>(frame.size() - frame_header_size));
  EXPECT_EQ(refusal_with(0, 0), "the payloads cannot have one size");
}

TEST_F(OneSize, that_their_length_is_not_a_multiple_of_are_refused) {
  EXPECT_EQ(refusal_with(5, bytes), "the payloads cannot have one size");
}

TEST_F(OneSize, without_a_byte_are_refused) {
  EXPECT_EQ(refusal_with(bytes + 1, bytes), "the payloads cannot have one size");
}

TEST(Codec, payloads_on_a_message_that_has_none_are_refused) {
  EXPECT_EQ(refusal_of(frame_of(Heartbeat{}, {"stowaway"})), "this message carries no payloads");
}

TEST(Codec, an_empty_payload_is_a_payload) {
  const Buffer frame = frame_of(Tasks{.range = {0, 2}}, {"", ""});
  const Result<Received> received = decode(frame);
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_EQ(std::get<Tasks>(received->message).payloads.count(), 2U);
}

// --- Values out of range -----------------------------------------------------------------------------------------

constexpr Range too_large{UINT64_MAX, 1};

TEST(Codec, enumerators_that_do_not_exist_are_refused) {
  EXPECT_EQ(refusal_of(frame_of(Hello{.role = static_cast<Role>(3)})), "the role is unknown");
  EXPECT_EQ(refusal_of(frame_of(Refused{.reason = static_cast<Refusal>(4)})), "the reason is unknown");
  EXPECT_EQ(refusal_of(frame_of(Bye{.reason = static_cast<ByeReason>(3)})), "the reason is unknown");
  EXPECT_EQ(refusal_of(frame_of(Return{.reason = static_cast<ReturnReason>(6)})),
            "a range or the reason is out of range");
  EXPECT_EQ(refusal_of(frame_of(Propose{.outcome = static_cast<Outcome>(6)})),
            "a range or the outcome is out of range");
  EXPECT_EQ(refusal_of(frame_of(Verdicts{{{{}, {}, static_cast<Verdict>(4)}}})), "a verdict is out of range");
  EXPECT_EQ(refusal_of(frame_of(Stored{{{.verdict = static_cast<Verdict>(4)}}, {}})), "a settlement is out of range");
}

TEST(Codec, ranges_that_wrap_around_are_refused) {
  EXPECT_THAT(refusal_of(frame_of(Hello{.held = {{.range = too_large}}})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Opened{.have = {{0, 1}, too_large}})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Tasks{.range = too_large})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Results{.range = too_large}, {"a"})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Stored{{{.range = too_large}}, {}})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Verdicts{{{{}, too_large, {}}}})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Return{.ranges = {too_large}})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Cancel{.range = too_large})), HasSubstr("ends within 64 bits"));
  EXPECT_THAT(refusal_of(frame_of(Propose{.ranges = {too_large}})), HasSubstr("ends within 64 bits"));
}

TEST(Codec, failures_outside_their_range_or_out_of_order_are_refused) {
  const auto refusal = [](std::vector<Failure> failures) {
    return refusal_of(frame_of(Results{.range = {0, 2}, .failures = std::move(failures)}, {"a", "b"}));
  };
  EXPECT_EQ(refusal({{0}, {1}}), "accepted");
  EXPECT_EQ(refusal({{1}, {0}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{1}, {1}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{2}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{0, Outcome::done}}), "a failure has no such outcome");
  EXPECT_EQ(refusal_of(frame_of(Results{.range = {0, 2}, .folded = true, .failures = {{0}}}, {"a"})),
            "a folded result contains failures");
}

TEST(Codec, a_flow_has_a_payload_for_each_number_or_an_index_rule) {
  EXPECT_EQ(refusal_of(frame_of(Flow{.range = {0, 2}}, {"a", "b"})), "accepted");
  EXPECT_EQ(refusal_of(frame_of(Flow{.index = {.enabled = true}, .range = {0, 2}})), "accepted");
  EXPECT_EQ(refusal_of(frame_of(Flow{.range = {0, 2}}, {"a"})), "the number of payloads is not that of the range");
  EXPECT_EQ(refusal_of(frame_of(Flow{.index = {.enabled = true}, .range = {0, 1}}, {"a"})),
            "the number of payloads is not that of the range");
  EXPECT_EQ(refusal_of(frame_of(Flow{})), "the range is empty or too large");
  EXPECT_EQ(refusal_of(frame_of(Flow{.index = {.enabled = true}, .range = {0, UINT32_MAX}})), "accepted");
  EXPECT_EQ(refusal_of(frame_of(Flow{.index = {.enabled = true}, .range = {0, std::uint64_t{UINT32_MAX} + 1}})),
            "the range is empty or too large");
  EXPECT_EQ(refusal_of(frame_of(Flow{.range = {0, 1}, .failures = {{1}}}, {"a"})),
            "the failures are not in order or not in the range");
  EXPECT_EQ(refusal_of(frame_of(Flow{.index = {.enabled = true}, .range = {0, 1}, .failures = {{0}}})),
            "tasks that have not run have failed");
}

TEST(Codec, failure_notes_outside_their_settlement_or_out_of_order_are_refused) {
  const auto refusal = [](std::vector<FailureNote> notes) {
    return refusal_of(frame_of(Stored{{{.range = {10, 5}, .failures = std::move(notes)}}, {}}));
  };
  EXPECT_EQ(refusal({{{10, 2}}, {{12, 3}}}), "accepted");
  EXPECT_EQ(refusal({{{12, 2}}, {{10, 1}}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{{9, 2}}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{{14, 2}}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{{10, 0}}}), "the failures are not in order or not in the range");
  EXPECT_EQ(refusal({{{10, 1}, Outcome::done}}), "a failure has no such outcome");
}

// --- Memory ------------------------------------------------------------------------------------------------------

TEST(Codec, a_small_frame_that_claims_a_long_list_is_refused_without_memory_for_it) {
  Buffer body;
  Packer packer{body};
  packer.pack_array(1);
  packer.pack_array(UINT32_MAX);  // Verdicts, they say.
  EXPECT_FALSE(survives(frame_with_body(Verdicts::type, body)));
}

// Elements that take one byte on the wire and much more in memory.
TEST(Codec, a_frame_of_many_tiny_elements_takes_bounded_memory) {
  constexpr std::uint32_t count = 200'000;
  for (const std::uint8_t type : {Hello::type, Stored::type, Verdicts::type, Propose::type, Progress::type}) {
    Buffer body;
    Packer packer{body};
    packer.pack_array(1);
    packer.pack_array(count);
    for (std::uint32_t i = 0; i < count; ++i) packer.pack_nil();
    survives(frame_with_body(type, body));
  }
}

TEST(Codec, a_full_frame_of_failure_notes_takes_bounded_memory) {
  Settlement settlement{.range = {0, 127}};
  for (Number number = 0; number < 127; ++number) settlement.failures.push_back({{number, 1}});
  for (const std::size_t count : {1, 10, 150, 1000})
    EXPECT_TRUE(survives(frame_of(Stored{std::vector(count, settlement), {}})));
}

// What no honest peer says: three bytes on the wire, forty in memory.
TEST(Codec, a_list_that_would_take_more_memory_than_its_frame_allows_is_refused_before_it_does) {
  Hello hello;
  hello.functions.resize(100'000);
  EXPECT_FALSE(survives(frame_of(hello)));
  EXPECT_EQ(refusal_of(frame_of(hello)), "it would take more memory than its size allows");
  hello.functions.assign(1000, {});
  EXPECT_TRUE(survives(frame_of(hello)));
  hello.functions.assign(100'000, {"a_function", true});
  EXPECT_TRUE(survives(frame_of(hello)));
}

TEST(Codec, a_part_without_bytes_is_refused) { EXPECT_EQ(refusal_of(frame_of(Part{}, {""})), "a part is empty"); }

// --- Parts -------------------------------------------------------------------------------------------------------

constexpr std::size_t frame_limit = 1000;

// A message of about `size` bytes and its parts.
struct InParts {
  explicit InParts(std::size_t size, std::uint64_t transfer = 1) {
    whole = frame_of(Results{.range = {0, 1}}, {std::string(size, 'x')});
    frames = split(copy_of(whole), Envelope{{1, 2}, {3}, {4}, 5}, transfer, frame_limit);
    for (const Buffer& frame : frames) {
      const Result<Received> received = decode(frame);
      if (const auto* part = received ? std::get_if<Part>(&received->message) : nullptr) parts.push_back(*part);
    }
  }
  Buffer whole;
  std::vector<Buffer> frames;
  std::vector<Part> parts;
};

TEST(Split, a_small_frame_travels_alone_and_unchanged) {
  const InParts small{100};
  ASSERT_EQ(small.frames.size(), 1U);
  EXPECT_TRUE(same(small.frames.front(), small.whole));
}

TEST(Split, no_part_is_larger_than_a_frame_may_be) {
  const InParts large{10'000};
  EXPECT_EQ(large.parts.size(), large.frames.size());
  for (const Buffer& frame : large.frames) EXPECT_LE(frame.size(), frame_limit);
}

TEST(Split, what_is_put_together_is_what_was_cut) {
  for (std::size_t size = frame_limit; size < 4 * frame_limit; size += 7) {
    const InParts large{size};
    Assembler assembler;
    for (const Part& part : large.parts) {
      const Result<Buffer> added = assembler.add(part);
      ASSERT_TRUE(added) << added.error().message;
      ASSERT_EQ(added->empty(), &part != &large.parts.back());
      if (!added->empty()) {
        EXPECT_TRUE(same(*added, large.whole));
      }
    }
    EXPECT_EQ(assembler.held_bytes(), 0U);
  }
}

TEST(Assembler, two_messages_may_come_at_once) {
  const InParts a{3000, 1};
  const InParts b{3000, 2};
  Assembler assembler;
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    const bool last = i + 1 == a.parts.size();
    EXPECT_EQ(assembler.add(a.parts[i])->empty(), !last);
    EXPECT_EQ(assembler.add(b.parts[i])->empty(), !last);
  }
}

TEST(Assembler, parts_out_of_order_are_refused_and_the_message_forgotten) {
  const InParts large{5000};
  Assembler assembler;
  EXPECT_TRUE(assembler.add(large.parts[0]));
  EXPECT_EQ(assembler.add(large.parts[2]).error().message, "a part is missing");
  EXPECT_EQ(assembler.held_bytes(), 0U);
  EXPECT_FALSE(assembler.add(large.parts[1]));
}

// A dispatcher that ended in the middle of its third message, and was started again, says its third.
TEST(Assembler, a_message_that_begins_again_is_another) {
  const InParts interrupted{5000, 3};
  const InParts after_restart{4000, 3};
  Assembler assembler;
  ASSERT_TRUE(assembler.add(interrupted.parts[0]));
  ASSERT_TRUE(assembler.add(interrupted.parts[1]));
  for (std::size_t i = 0; i + 1 < after_restart.parts.size(); ++i)
    ASSERT_TRUE(assembler.add(after_restart.parts[i])->empty());
  EXPECT_TRUE(same(*assembler.add(after_restart.parts.back()), after_restart.whole));
  EXPECT_EQ(assembler.held_bytes(), 0U);
}

TEST(Assembler, a_message_over_the_limit_is_refused_with_its_first_part) {
  const InParts large{5000};
  Assembler assembler{4000};
  EXPECT_EQ(assembler.add(large.parts[0]).error().message, "the message is too large");
  EXPECT_EQ(assembler.held_bytes(), 0U);
}

TEST(Assembler, the_oldest_unfinished_message_makes_room_for_bytes) {
  const InParts a{3000, 1};
  const InParts b{3000, 2};
  Assembler assembler{4000};
  for (std::size_t i = 0; i + 1 < a.parts.size(); ++i) ASSERT_TRUE(assembler.add(a.parts[i]));
  for (std::size_t i = 0; i + 1 < b.parts.size(); ++i) EXPECT_TRUE(assembler.add(b.parts[i])->empty());
  EXPECT_LE(assembler.held_bytes(), 4000U);
  EXPECT_TRUE(same(*assembler.add(b.parts.back()), b.whole));
  EXPECT_EQ(assembler.held_bytes(), 0U);
  EXPECT_EQ(assembler.add(a.parts.back()).error().message, "a part is missing");
}

// A worker's connection may break in the middle of a message as often as it likes.
TEST(Assembler, the_oldest_unfinished_message_makes_room_for_another) {
  Assembler assembler;
  for (std::uint64_t transfer = 0; transfer < 3 * Assembler::transfers_max; ++transfer)
    ASSERT_TRUE(assembler.add(InParts(3000, transfer).parts[0]));
  EXPECT_EQ(assembler.held_bytes(), Assembler::transfers_max * InParts(3000).parts[0].payloads[0].size());
}

TEST(Assembler, a_total_that_changes_is_refused) {
  const InParts large{5000};
  Assembler assembler;
  ASSERT_TRUE(assembler.add(large.parts[0]));
  Part lie = large.parts[1];
  lie.total = lie.offset + lie.payloads[0].size();  // As if it were the last one.
  EXPECT_EQ(assembler.add(lie).error().message, "a part contradicts those before it");
}

// One megabyte of nested parts once took its receiver's memory: six gigabytes.
TEST(Assembler, a_part_within_a_part_is_refused) {
  const Buffer inner = frame_of(Part{1, 0, 5, {}}, {"inner"});
  const Buffer outer = frame_of(Part{2, 0, inner.size(), {}}, {std::string{as_text(inner)}});
  Assembler assembler;
  EXPECT_EQ(assembler.add(std::get<Part>(decode(outer)->message)).error().message, "a part contains a part");
  EXPECT_EQ(assembler.held_bytes(), 0U);
}

TEST(Assembler, a_total_that_lies_reserves_no_memory) {
  const InParts large{5000};
  Part lie = large.parts[0];
  lie.total = message_bytes_default;
  Assembler assembler;
  EXPECT_TRUE(assembler.add(lie));
  EXPECT_EQ(assembler.held_bytes(), lie.payloads[0].size());
}

}  // namespace
}  // namespace ventile
