// What a slot takes from a child that may have gone mad: a message when all of it is there, and nothing else.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <ventile/isolation/messages.hpp>

namespace ventile::isolation {
namespace {

using Got = MessageReader::Got;

struct Pair {
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0); }
  ~Pair() {
    for (const int end : ends)
      if (end >= 0) ::close(end);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  std::array<int, 2> ends{-1, -1};
};

class MessageReaderTest : public testing::Test {
protected:
  // Messages as they are on the stream.
  static std::string bytes_of(const Header& header, const std::string& body, const std::string& section) {
    std::string bytes(sizeof header, '\0');
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes + body + section;
  }
  static std::string message(const std::string& body, const std::vector<std::string>& payloads) {
    PayloadWriter writer{0};
    for (const std::string& payload : payloads) writer.append(as_bytes(payload));
    const std::string section{as_text(writer.take())};
    return bytes_of({Kind::results, static_cast<std::uint32_t>(payloads.size()), body.size(), section.size()}, body,
                    section);
  }

  void say(std::string_view text) {
    ASSERT_EQ(::send(pair.ends[1], text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  void hang_up() { ::close(std::exchange(pair.ends[1], -1)); }
  Got next() { return reader.next(incoming, false); }
  std::string payload(std::uint32_t index) const { return std::string{as_text(incoming.payloads[index])}; }

  Pair pair;
  MessageReader reader{pair.ends[0]};
  Incoming incoming;
};

TEST_F(MessageReaderTest, a_message_is_there_when_its_last_byte_is) {
  const std::string bytes = message("body", {"one", "", "three"});
  for (const char byte : bytes) {
    EXPECT_EQ(next(), Got::nothing_yet);
    say({&byte, 1});
  }
  ASSERT_EQ(next(), Got::message);
  EXPECT_EQ(incoming.kind, Kind::results);
  EXPECT_EQ(as_text(incoming.body), "body");
  ASSERT_EQ(incoming.payloads.count(), 3U);
  EXPECT_EQ(payload(0), "one");
  EXPECT_EQ(payload(1), "");
  EXPECT_EQ(payload(2), "three");
  EXPECT_EQ(next(), Got::nothing_yet);
}

TEST_F(MessageReaderTest, messages_that_come_together_are_told_apart) {
  const std::string third = message("another body", {"3"});  // Its header is not the first one's.
  say(message("a", {"1"}) + message("b", {"2"}) + third.substr(0, third.size() / 2));
  for (const char* const expected : {"1", "2"}) {
    ASSERT_EQ(next(), Got::message);
    EXPECT_EQ(payload(0), expected);
  }
  EXPECT_EQ(next(), Got::nothing_yet);
  say(third.substr(third.size() / 2));
  ASSERT_EQ(next(), Got::message);
  EXPECT_EQ(payload(0), "3");
}

TEST_F(MessageReaderTest, a_header_that_cannot_be_is_nonsense) {
  constexpr std::uint64_t endless = std::uint64_t{1} << 50;
  for (const Header& header :
       {Header{static_cast<Kind>(99), 0, 0, 0}, Header{Kind::results, 0, endless, 0},
        Header{Kind::results, 0, 0, endless}, Header{Kind::results, 2, 0, 2 * sizeof(std::uint32_t) - 1}}) {
    const Pair another;
    MessageReader mad{another.ends[0]};
    const std::string bytes = bytes_of(header, {}, std::string(7, 'x'));
    ASSERT_EQ(::send(another.ends[1], bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(mad.next(incoming, false), Got::nonsense);
  }
}

TEST_F(MessageReaderTest, payloads_that_end_outside_of_the_message_are_nonsense) {
  std::string bytes = message("body", {"one", "two"});
  bytes[bytes.size() - 8] = 100;  // The end of the first.
  say(bytes);
  EXPECT_EQ(next(), Got::nonsense);
}

TEST_F(MessageReaderTest, half_a_message_is_the_end_when_nothing_more_comes) {
  const std::string bytes = message("body", {"one"});
  say(bytes.substr(0, bytes.size() - 1));
  hang_up();
  EXPECT_EQ(next(), Got::end);
}

// More than a socket holds, so that it is written and read in pieces.
TEST_F(MessageReaderTest, a_large_message_comes_as_it_was_written) {
  const std::string large(std::size_t{4} << 20, 'x');
  PayloadWriter writer{0};
  writer.append(as_bytes(large));
  const Buffer section = writer.take();
  std::thread child{[&] { EXPECT_TRUE(write_message(pair.ends[1], Kind::results, as_bytes("body"), 1, section)); }};
  EXPECT_EQ(reader.next(incoming, true), Got::message);
  child.join();
  EXPECT_EQ(payload(0), large);
}

TEST_F(MessageReaderTest, who_writes_to_nobody_is_told) {
  ::close(std::exchange(pair.ends[0], -1));
  const Status written = write_message(pair.ends[1], Kind::results, as_bytes("body"), 0, {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::unavailable);
}

}  // namespace
}  // namespace ventile::isolation
