#include <ventile/net/lending.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ventile/base/shared_arena.hpp>

namespace ventile {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t large = SharedArena::smallest;
using lending::note_bytes;
constexpr std::size_t bytes_max = SharedArena::block_bytes;

Frame large_frame(char fill, std::size_t size = large) {
  Buffer buffer = Buffer::shareable();
  buffer.append(as_bytes(std::string(size, fill)));
  return Frame{std::move(buffer)};
}

// Where a note's numbers stand, as PROTOCOL.md has it.
constexpr std::size_t key_at = 8;
constexpr std::size_t process_at = 24;
constexpr std::size_t arena_at = 28;
constexpr std::size_t register_at = 32;
constexpr std::size_t ticket_at = 36;
constexpr std::size_t use_at = 40;

template <class T>
Frame with(const Frame& note, std::size_t at, T value) {
  std::vector<std::byte> bytes(note.bytes().begin(), note.bytes().end());
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return Frame::copy_of(bytes);
}
Frame again(const Frame& note) { return Frame::copy_of(note.bytes()); }

std::string why_not(Frame note, std::size_t most = bytes_max) {
  const Status borrowed = borrow(note, most);
  EXPECT_EQ(note.size(), note_bytes);
  return borrowed ? "it was borrowed" : borrowed.error().message;
}

class LendingTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(machine_of_process()) << "these tests want a /proc";
    start_lending();
  }

  // What is sent in the frame's place.
  static Frame sent_for(Frame frame) {
    Frame sent;
    EXPECT_EQ(send_or_lend(frame,
                           [&](Frame& outgoing) {
                             sent = std::move(outgoing);
                             return SendOutcome::sent;
                           }),
              SendOutcome::sent);
    EXPECT_TRUE(frame.empty());
    return sent;
  }
};

TEST_F(LendingTest, a_large_frame_is_read_where_it_lies) {
  Frame frame = sent_for(large_frame('a'));
  ASSERT_EQ(frame.size(), note_bytes);
  const std::uint64_t lent = lending::borrowed_count();
  ASSERT_TRUE(borrow(frame, bytes_max));
  EXPECT_EQ(as_text(frame.bytes()), std::string(large, 'a'));
  EXPECT_EQ(lending::borrowed_count(), lent + 1);
}

TEST_F(LendingTest, its_memory_is_used_again_when_the_borrower_needs_it_no_more) {
  const std::byte* block = nullptr;
  Frame borrowed;
  {
    Frame frame = large_frame('a');
    block = frame.bytes().data();
    borrowed = sent_for(std::move(frame));
  }
  ASSERT_TRUE(borrow(borrowed, bytes_max));
  lending::collect(Clock::now());
  const Frame meanwhile = large_frame('b');
  EXPECT_NE(meanwhile.bytes().data(), block);
  EXPECT_EQ(as_text(borrowed.bytes()), std::string(large, 'a'));
  borrowed = Frame{};
  lending::collect(Clock::now());
  const Frame after = large_frame('c');
  EXPECT_EQ(after.bytes().data(), block);
}

TEST_F(LendingTest, what_is_small_or_lies_elsewhere_is_sent_as_it_is) {
  EXPECT_EQ(as_text(sent_for(Frame::copy_of(as_bytes("small"))).bytes()), "small");
  Buffer elsewhere;
  elsewhere.append(as_bytes(std::string(large, 'a')));
  EXPECT_EQ(sent_for(Frame{std::move(elsewhere)}).size(), large);
}

TEST_F(LendingTest, a_frame_whose_note_finds_no_room_is_the_callers_still) {
  Frame frame = large_frame('a');
  const std::byte* const block = frame.bytes().data();
  const auto no_room = [](Frame&) { return SendOutcome::would_block; };
  EXPECT_EQ(send_or_lend(frame, no_room), SendOutcome::would_block);
  EXPECT_EQ(frame.bytes().data(), block);
  EXPECT_EQ(as_text(frame.bytes()), std::string(large, 'a'));
}

TEST_F(LendingTest, a_frame_that_is_no_note_stays_as_it_is) {
  for (const std::string text : {"", "x", "lentVNTL"}) {
    Frame frame = Frame::copy_of(as_bytes(text));
    ASSERT_TRUE(borrow(frame, bytes_max));
    EXPECT_EQ(as_text(frame.bytes()), text);
  }
}

TEST_F(LendingTest, a_shared_buffer_can_be_lent_more_than_once) {
  Buffer buffer = Buffer::shareable();
  buffer.append(as_bytes(std::string(large, 'a')));
  auto kept = std::make_shared<const Buffer>(std::move(buffer));
  for (int i = 0; i < 2; ++i) {
    Frame frame = sent_for(Frame::shared(kept));
    ASSERT_EQ(frame.size(), note_bytes);
    ASSERT_TRUE(borrow(frame, bytes_max));
    EXPECT_EQ(as_text(frame.bytes()), std::string(large, 'a'));
  }
  lending::collect(Clock::now());
  EXPECT_EQ(kept.use_count(), 1);
}

// As a broker does with results, of which it looks at the header.
TEST_F(LendingTest, what_is_borrowed_can_be_handed_on) {
  Frame frame = sent_for(large_frame('a'));
  const Frame note = again(frame);
  ASSERT_TRUE(borrow(frame, bytes_max));
  const std::byte* const place = frame.bytes().data();
  Frame handed_on = sent_for(std::move(frame));
  EXPECT_EQ(as_text(handed_on.bytes()), as_text(note.bytes()));
  ASSERT_TRUE(borrow(handed_on, bytes_max));
  EXPECT_EQ(handed_on.bytes().data(), place);
  EXPECT_EQ(as_text(handed_on.bytes()), std::string(large, 'a'));
}

// Whoever handed it on gave it back at once, if its next borrower was the same process.
TEST_F(LendingTest, what_is_handed_on_is_its_next_borrowers_alone) {
  Frame frame = large_frame('a');
  const std::byte* const block = frame.bytes().data();
  frame = sent_for(std::move(frame));
  ASSERT_TRUE(borrow(frame, bytes_max));
  std::optional<lending::Loan> loan = lending::lend(frame);
  ASSERT_TRUE(loan);
  Frame handed_on = std::move(loan->note);
  ASSERT_TRUE(borrow(handed_on, bytes_max));
  loan.reset();
  lending::collect(Clock::now());
  EXPECT_NE(large_frame('b').bytes().data(), block);
  EXPECT_EQ(as_text(handed_on.bytes()), std::string(large, 'a'));
  handed_on = Frame{};
  lending::collect(Clock::now());
  EXPECT_EQ(large_frame('c').bytes().data(), block);
}

TEST_F(LendingTest, what_finds_no_room_when_it_is_handed_on_is_borrowed_still) {
  Frame frame = sent_for(large_frame('a'));
  Frame copy = again(frame);
  ASSERT_TRUE(borrow(frame, bytes_max));
  const auto no_room = [](Frame&) { return SendOutcome::would_block; };
  EXPECT_EQ(send_or_lend(frame, no_room), SendOutcome::would_block);
  EXPECT_EQ(as_text(frame.bytes()), std::string(large, 'a'));
  EXPECT_THAT(why_not(std::move(copy)), HasSubstr("lent too long ago")) << "it is not unread";
  frame = sent_for(std::move(frame));
  EXPECT_TRUE(borrow(frame, bytes_max)) << "and can be handed on when there is room";
}

// Its time had run out before it was handed on: ten minutes in a broker whose client was slow.
TEST_F(LendingTest, what_is_handed_on_is_unread_from_then_on) {
  Frame frame = sent_for(large_frame('a'));
  ASSERT_TRUE(borrow(frame, bytes_max));
  lending::collect(Clock::now() + 2 * lending::unread_max);
  frame = sent_for(std::move(frame));
  lending::collect(Clock::now() + 2 * lending::unread_max + 2 * lending::borrower_looked_after);
  EXPECT_TRUE(borrow(frame, bytes_max));
}

// A kept result that is sent a second time lies where it did.
TEST_F(LendingTest, what_was_borrowed_twice_is_sent_as_it_is) {
  Buffer buffer = Buffer::shareable();
  buffer.append(as_bytes(std::string(large, 'a')));
  const auto kept = std::make_shared<const Buffer>(std::move(buffer));
  Frame first = sent_for(Frame::shared(kept));
  Frame second = sent_for(Frame::shared(kept));
  ASSERT_TRUE(borrow(first, bytes_max));
  ASSERT_TRUE(borrow(second, bytes_max));
  EXPECT_EQ(sent_for(std::move(first)).size(), large);
  EXPECT_EQ(sent_for(std::move(second)).size(), note_bytes) << "there is one now";
}

TEST_F(LendingTest, a_part_of_what_is_borrowed_is_sent_as_it_is) {
  Frame frame = sent_for(large_frame('a', 2 * large));
  ASSERT_TRUE(borrow(frame, bytes_max));
  auto whole = std::make_shared<Frame>(std::move(frame));
  const Bytes part = whole->bytes().subspan(0, large);
  EXPECT_EQ(sent_for(Frame::in(std::move(whole), part)).size(), large);
}

TEST_F(LendingTest, is_done_with_whoever_says_it_is_here_and_listens_here) {
  const auto at = [](const char* address) { return *Endpoint::parse(address); };
  EXPECT_TRUE(may_lend_to(machine_of_process(), at("tcp://127.0.0.1:5570")));
  EXPECT_TRUE(may_lend_to(machine_of_process(), at("ipc:///tmp/x")));
  EXPECT_FALSE(may_lend_to(machine_of_process(), at("inproc://x"))) << "pointers are passed there";
  EXPECT_FALSE(may_lend_to(machine_of_process(), at("tcp://192.0.2.1:5570"))) << "another machine's";
  EXPECT_FALSE(may_lend_to({7, 8}, at("tcp://127.0.0.1:5570")));
  EXPECT_FALSE(may_lend_to({}, at("tcp://127.0.0.1:5570")));
}

TEST_F(LendingTest, a_note_is_good_once) {
  Frame note = sent_for(large_frame('a'));
  Frame copy = again(note);
  ASSERT_TRUE(borrow(note, bytes_max));
  EXPECT_THAT(why_not(std::move(copy)), HasSubstr("lent too long ago"));
  EXPECT_EQ(as_text(note.bytes()), std::string(large, 'a'));
}

TEST_F(LendingTest, a_note_that_nobody_reads_is_not_good_for_ever) {
  const Frame note = sent_for(large_frame('a'));
  lending::collect(Clock::now() + lending::unread_max / 2);
  const Frame other = sent_for(large_frame('b'));
  ASSERT_EQ(other.size(), note_bytes);
  lending::collect(Clock::now() + 2 * lending::unread_max);
  EXPECT_THAT(why_not(again(note)), HasSubstr("lent too long ago"));
}

TEST_F(LendingTest, what_a_dead_process_has_borrowed_comes_back) {
  Frame frame = large_frame('a');
  const std::byte* const block = frame.bytes().data();
  Frame note = sent_for(std::move(frame));
  const pid_t child = fork();
  if (child == 0) _exit(borrow(note, bytes_max) && as_text(note.bytes()) == std::string(large, 'a') ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  lending::collect(Clock::now());
  EXPECT_NE(large_frame('b').bytes().data(), block);
  lending::collect(Clock::now() + 2 * lending::borrower_looked_after);
  EXPECT_EQ(large_frame('c').bytes().data(), block);
}

TEST_F(LendingTest, a_living_borrower_keeps_what_it_has_however_long) {
  Frame note = sent_for(large_frame('a'));
  ASSERT_TRUE(borrow(note, bytes_max));
  lending::collect(Clock::now() + 10 * lending::unread_max);
  std::vector<Frame> others;
  for (std::size_t i = 0; i < SharedArena::block_count; ++i) others.push_back(large_frame('b'));
  EXPECT_EQ(as_text(note.bytes()), std::string(large, 'a'));
}

TEST_F(LendingTest, frames_are_sent_when_the_arena_is_full_and_lent_again_when_some_were_read) {
  std::deque<Frame> notes;
  std::size_t sent_whole = 0;
  for (std::size_t i = 0; i < SharedArena::block_count + 10; ++i) {
    Frame sent = sent_for(large_frame('a'));
    if (sent.size() == note_bytes)
      notes.push_back(std::move(sent));
    else
      ++sent_whole;
  }
  EXPECT_GE(sent_whole, 10U);
  for (Frame& note : notes) ASSERT_TRUE(borrow(note, bytes_max));
  EXPECT_EQ(sent_for(large_frame('b')).size(), large);
  notes.clear();
  EXPECT_EQ(sent_for(large_frame('c')).size(), note_bytes);
}

TEST_F(LendingTest, a_forged_note_leads_to_nothing) {
  const Frame note = sent_for(large_frame('a'));
  EXPECT_THAT(why_not(with<std::uint64_t>(note, key_at, 1)), HasSubstr("not the one that the note names"));
  EXPECT_THAT(why_not(with<std::int32_t>(note, key_at, 1)), HasSubstr("not the one"));
  // A known key with what is not there:
  Frame good = again(note);
  ASSERT_TRUE(borrow(good, bytes_max));
  EXPECT_THAT(why_not(with<std::uint32_t>(note, ticket_at, lending::lent_max)), HasSubstr("no such ticket"));
  EXPECT_THAT(why_not(with<std::uint32_t>(note, ticket_at, lending::lent_max - 1)), HasSubstr("too long ago"));
  EXPECT_THAT(why_not(with<std::uint32_t>(note, use_at, 1)), HasSubstr("too long ago"));
  EXPECT_THAT(why_not(with<std::int32_t>(note, process_at, getpid())), HasSubstr("too long ago")) << "it was good once";
}

TEST_F(LendingTest, a_frame_that_is_larger_than_it_may_be_is_not_taken) {
  EXPECT_THAT(why_not(sent_for(large_frame('a')), large - 1), HasSubstr("more bytes than a frame may have"));
}

TEST_F(LendingTest, who_is_dead_has_lost_what_it_lent_and_that_is_nobodys_fault) {
  const pid_t child = fork();
  if (child == 0) pause();
  Frame note = with<std::uint64_t>(with<std::int32_t>(sent_for(large_frame('a')), process_at, child), key_at, 1);
  EXPECT_EQ(borrow(note, bytes_max).error().code, Code::failed) << "it lives";
  // As of a process that is being killed, for as long as that takes: its descriptors go first.
  Frame of_the_dying = with<std::int32_t>(note, arena_at, 1'000'000);
  EXPECT_EQ(borrow(of_the_dying, bytes_max).error().code, Code::disconnected);
  kill(child, SIGKILL);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);  // A zombie now.
  EXPECT_EQ(borrow(note, bytes_max).error().code, Code::disconnected);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(borrow(note, bytes_max).error().code, Code::disconnected);
}

TEST_F(LendingTest, what_a_zombie_has_borrowed_comes_back) {
  Frame frame = large_frame('a');
  const std::byte* const block = frame.bytes().data();
  Frame note = sent_for(std::move(frame));
  const pid_t child = fork();
  if (child == 0) _exit(borrow(note, bytes_max) ? 0 : 1);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
  lending::collect(Clock::now() + 2 * lending::borrower_looked_after);
  EXPECT_EQ(large_frame('c').bytes().data(), block);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
}

TEST_F(LendingTest, what_was_borrowed_before_a_fork_is_the_parents) {
  Frame note = sent_for(large_frame('a'));
  ASSERT_TRUE(borrow(note, bytes_max));
  const pid_t child = fork();
  if (child == 0) {
    note = Frame{};
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  lending::collect(Clock::now());
  std::vector<Frame> others;
  for (std::size_t i = 0; i < SharedArena::block_count; ++i) others.push_back(large_frame('b'));
  EXPECT_EQ(as_text(note.bytes()), std::string(large, 'a'));
}

TEST_F(LendingTest, memory_of_another_user_is_not_mapped) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be two users";
  const Frame note = with<std::uint64_t>(sent_for(large_frame('a')), key_at, 1);
  constexpr uid_t nobody = 65534;
  setfsuid(nobody);
  const int file = memfd_create("ventile-lent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  setfsuid(0);
  ASSERT_EQ(ftruncate(file, SharedArena::bytes_all), 0);
  ASSERT_EQ(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_THAT(why_not(with<std::int32_t>(note, arena_at, file)), HasSubstr("not this user's"));
  ::close(file);
}

TEST_F(LendingTest, nothing_is_opened_but_sealed_memory_of_ventiles) {
  const Frame note = with<std::uint64_t>(sent_for(large_frame('a')), key_at, 1);  // So that it is not known already.
  EXPECT_THAT(why_not(with<std::int32_t>(note, process_at, INT32_MAX)), HasSubstr("cannot be looked at"));
  EXPECT_THAT(why_not(with<std::int32_t>(note, arena_at, -1)), HasSubstr("cannot be looked at"));
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_THAT(why_not(with<std::int32_t>(note, arena_at, ends[0])), HasSubstr("something else"));
  EXPECT_THAT(why_not(with<std::int32_t>(note, register_at, ends[1])), HasSubstr("something else"));
  ::close(ends[0]);
  ::close(ends[1]);
  const int unsealed = memfd_create("ventile-lent", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(unsealed, SharedArena::bytes_all), 0);
  EXPECT_THAT(why_not(with<std::int32_t>(note, arena_at, unsealed)), HasSubstr("cannot be mapped"));
  ::close(unsealed);
}

TEST_F(LendingTest, others_cannot_write_to_what_is_lent) {
  const Frame note = sent_for(large_frame('a'));
  std::int32_t arena = -1;
  std::memcpy(&arena, note.bytes().data() + arena_at, sizeof arena);
  const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(arena);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  EXPECT_EQ(::pwrite(file, "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(file, 0), -1);
  EXPECT_EQ(mmap(nullptr, large, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
  ::close(file);
}

TEST_F(LendingTest, many_threads_lend_and_borrow_at_once) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([fill = static_cast<char>('a' + t)] {
      for (int i = 0; i < 200; ++i) {
        Frame frame = sent_for(large_frame(fill));
        ASSERT_TRUE(borrow(frame, bytes_max));
        ASSERT_EQ(as_text(frame.bytes()), std::string(large, fill));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(LendingTest, can_be_switched_off) {
  const pid_t child = fork();
  if (child == 0) {
    switch_off_lending();
    _exit(machine_of_process() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ventile
