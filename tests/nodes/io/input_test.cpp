#include <nodes/io/input.hpp>

#include <unistd.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Strings = std::vector<std::string>;

constexpr std::size_t plenty = 1 << 20;

class InputTest : public ::testing::Test {
protected:
  TemporaryFolder folder;
  Pipe pipe;

  std::unique_ptr<Input> open(std::string_view text, InputFormat format, InputOptions options = {}) {
    return opened(folder.write("tasks", text), format, options);
  }

  static std::unique_ptr<Input> opened(const std::string& path, InputFormat format, InputOptions options = {}) {
    Result<std::unique_ptr<Input>> input = open_input(path, format, options);
    EXPECT_TRUE(input) << input.error().message;
    return input ? std::move(*input) : nullptr;
  }

  // One block's payloads.
  template <class T = std::string>
  static std::vector<T> read(Input& input, std::size_t bytes_max = plenty, std::uint32_t count_max = plenty) {
    PayloadWriter block{0};
    const Result<bool> more = input.read(block, bytes_max, count_max);
    EXPECT_TRUE(more) << more.error().message;
    EXPECT_EQ(more && *more, block.count() > 0);
    std::vector<T> values;
    for (std::uint32_t i = 0; i < block.count(); ++i) {
      const Result<T> value = unpack_from<T>(block.view()[i]);
      EXPECT_TRUE(value);
      if (value) values.push_back(*value);
    }
    return values;
  }

  template <class T = std::string>
  std::vector<T> all(std::string_view text, InputFormat format) {
    const std::unique_ptr<Input> input = open(text, format);
    std::vector<T> values = read<T>(*input);
    EXPECT_THAT(read<T>(*input), IsEmpty());
    return values;
  }

  static Error error(Input& input) {
    PayloadWriter block{0};
    const Result<bool> more = input.read(block, plenty, plenty);
    EXPECT_FALSE(more);
    EXPECT_EQ(block.count(), 0U);
    return more ? Error{} : more.error();
  }
};

TEST_F(InputTest, a_line_is_a_task_without_its_end) {
  EXPECT_THAT(all("one\ntwo\r\n\n three \nlast", InputFormat::lines), ElementsAre("one", "two", "", " three ", "last"));
  EXPECT_THAT(all("\n", InputFormat::lines), ElementsAre(""));
  EXPECT_THAT(all("", InputFormat::lines), IsEmpty());
  EXPECT_THAT(all("a\rb\r\r\n", InputFormat::lines), ElementsAre("a\rb\r"));
}

TEST_F(InputTest, a_nul_byte_ends_a_task_that_may_hold_lines) {
  using namespace std::string_view_literals;
  EXPECT_THAT(all("one\ntwo\0\0three"sv, InputFormat::nul), ElementsAre("one\ntwo", "", "three"));
}

TEST_F(InputTest, a_line_of_json_is_a_task_and_a_blank_line_is_none) {
  EXPECT_THAT(all<int>("1\n\n  \t\r\n 2 \r\n3", InputFormat::jsonl), ElementsAre(1, 2, 3));
  using Pairs = std::map<std::string, std::vector<int>>;
  EXPECT_THAT(all<Pairs>(R"({"a":[1,2]})", InputFormat::jsonl), ElementsAre(Pairs{{"a", {1, 2}}}));
}

TEST_F(InputTest, a_msgpack_value_is_a_task) {
  const Buffer values = pack_to_buffer("one", std::string(100000, 'x'), "three");
  EXPECT_THAT(all(as_text(values), InputFormat::msgpack), ElementsAre("one", std::string(100000, 'x'), "three"));
}

TEST_F(InputTest, blocks_keep_their_limits) {
  const std::unique_ptr<Input> input = open("aaa\nbbb\nccc\nddd\n", InputFormat::lines);
  EXPECT_THAT(read(*input, plenty, 1), ElementsAre("aaa"));
  EXPECT_THAT(read(*input, 8, plenty), ElementsAre("bbb", "ccc"));
  EXPECT_THAT(read(*input, 7, plenty), ElementsAre("ddd"));
}

TEST_F(InputTest, what_is_larger_than_a_block_comes_alone) {
  const std::string large(1 << 20, 'x');
  const std::unique_ptr<Input> input = open("a\n" + large + "\nb\n", InputFormat::lines);
  EXPECT_THAT(read(*input, 100), ElementsAre("a"));
  EXPECT_THAT(read(*input, 100), ElementsAre(large));
  EXPECT_THAT(read(*input, 100), ElementsAre("b"));
}

TEST_F(InputTest, what_is_longer_than_the_limit_is_an_error) {
  const std::unique_ptr<Input> input =
      open("a\n" + std::string(1 << 20, 'x') + "\nb\n", InputFormat::lines, {.skip_bad = true, .item_bytes_max = 1000});
  EXPECT_THAT(read(*input), ElementsAre("a"));
  EXPECT_EQ(error(*input), (Error{Code::invalid, folder.path("tasks") + ":2: longer than the limit of 1000 bytes"}));
}

TEST_F(InputTest, a_malformed_line_names_itself_after_what_came_before) {
  const std::unique_ptr<Input> input = open("1\n2\n[3}\n4\n", InputFormat::jsonl);
  EXPECT_THAT(read<int>(*input), ElementsAre(1, 2));
  const Error expected{Code::invalid, folder.path("tasks") + ":3: not JSON: unexpected '}'; expected ']' at column 3"};
  EXPECT_EQ(error(*input), expected);
  EXPECT_EQ(error(*input), expected);
  EXPECT_EQ(input->skipped(), 0U);
}

TEST_F(InputTest, plain_text_where_json_was_expected_is_told_the_format_that_takes_it) {
  EXPECT_THAT(error(*open("plain text\n", InputFormat::jsonl)).message, HasSubstr(":1: not JSON: "));
  const std::string deep = std::string(17, '[') + std::string(17, ']') + "\n";
  EXPECT_THAT(error(*open(deep, InputFormat::jsonl)).message, HasSubstr(":1: nested more than 16 deep"))
      << "it is JSON";
  EXPECT_THAT(error(*open("plain text\n", InputFormat::jsonl)).message, HasSubstr("--format lines"));
}

TEST_F(InputTest, malformed_lines_are_passed_over_and_counted_if_asked) {
  const std::unique_ptr<Input> input = open("{\n1\n[3}\n4\nnone", InputFormat::jsonl, {.skip_bad = true});
  EXPECT_THAT(read<int>(*input), ElementsAre(1, 4));
  EXPECT_EQ(input->skipped(), 3U);
}

TEST_F(InputTest, a_malformed_value_ends_a_msgpack_stream) {
  for (const bool skip_bad : {false, true}) {
    const std::unique_ptr<Input> input = open("\x01\x02\x92\x03\xc1\x04", InputFormat::msgpack, {.skip_bad = skip_bad});
    EXPECT_THAT(read<int>(*input), ElementsAre(1, 2));
    const std::string message = error(*input).message;
    EXPECT_THAT(message, HasSubstr("tasks: in the value at byte 2: expected a value, found the byte 0xc1 at byte 2"));
    EXPECT_EQ(message.find("cannot be told") != std::string::npos, skip_bad);
  }
}

TEST_F(InputTest, a_msgpack_stream_that_ends_within_a_value_is_an_error) {
  const std::unique_ptr<Input> input = open(
      "\x01\xa5"
      "abc",
      InputFormat::msgpack);
  EXPECT_THAT(read<int>(*input), ElementsAre(1));
  EXPECT_THAT(error(*input).message, HasSubstr("in the value at byte 1: the input ends within it"));
}

TEST_F(InputTest, nesting_beyond_the_limit_is_an_error) {
  const std::unique_ptr<Input> input = open(std::string(100, '\x91'), InputFormat::msgpack);
  EXPECT_THAT(error(*input).message, HasSubstr("nested too deep"));
}

TEST_F(InputTest, a_file_that_cannot_be_had_is_named_with_the_cause) {
  const Result<std::unique_ptr<Input>> missing = open_input(folder.path("missing"), InputFormat::lines);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(),
            (Error{Code::unavailable, "cannot open " + folder.path("missing") + ": No such file or directory"}));
  const Result<std::unique_ptr<Input>> no_file = open_input(folder.path("."), InputFormat::lines);
  ASSERT_FALSE(no_file);
  EXPECT_THAT(no_file.error().message, HasSubstr("Is a directory"));
}

TEST_F(InputTest, a_lone_line_on_a_trickling_pipe_is_returned_at_once) {
  const std::unique_ptr<Input> input = opened(pipe.reader_path(), InputFormat::lines);
  ASSERT_TRUE(pipe.write("first\nsec"));
  EXPECT_THAT(read(*input), ElementsAre("first"));
  ASSERT_TRUE(pipe.write("ond\n"));
  EXPECT_THAT(read(*input), ElementsAre("second"));
  ASSERT_TRUE(pipe.write("last"));
  pipe.close_writer();
  EXPECT_THAT(read(*input), ElementsAre("last"));
  EXPECT_THAT(read(*input), IsEmpty());
}

TEST_F(InputTest, standard_input_is_a_dash) {
  ASSERT_TRUE(pipe.write("[1"));
  pipe.close_writer();
  const ReplacedStream replaced{STDIN_FILENO, pipe.reader()};
  const std::unique_ptr<Input> input = opened("-", InputFormat::jsonl);
  EXPECT_THAT(error(*input).message, HasSubstr("standard input:1: not JSON: unexpected end of input"));
}

TEST_F(InputTest, an_interrupt_ends_a_read_that_waits) {
  const std::unique_ptr<Input> input = opened(pipe.reader_path(), InputFormat::lines);
  std::thread interrupting{[&] { input->interrupt(); }};
  EXPECT_THAT(read(*input), IsEmpty());
  interrupting.join();
  EXPECT_THAT(read(*input), IsEmpty());
}

TEST_F(InputTest, progress_is_known_for_files_and_not_for_pipes) {
  const std::unique_ptr<Input> file = open("one\ntwo\n", InputFormat::lines);
  EXPECT_EQ(file->bytes_total(), 8U);
  EXPECT_EQ(file->bytes_read(), 0U);
  EXPECT_THAT(read(*file), ElementsAre("one", "two"));
  EXPECT_EQ(file->bytes_read(), 8U);
  EXPECT_EQ(opened(pipe.reader_path(), InputFormat::lines)->bytes_total(), std::nullopt);
}

// Writes `text` in random pieces while reading blocks of random limits.
class TrickleTest : public InputTest {
protected:
  std::mt19937_64 random{20250103};

  Strings trickle(std::string_view text, InputFormat format) {
    const std::unique_ptr<Input> input = opened(pipe.reader_path(), format);
    std::thread writing{[this, text, seed = random()] {
      std::mt19937_64 lengths{seed};
      for (std::size_t at = 0; at < text.size();) {
        const std::string_view piece = text.substr(at, 1 + lengths() % 5000);
        if (!pipe.write(piece)) return;
        at += piece.size();
      }
      pipe.close_writer();
    }};
    Strings found;
    for (Strings values{""}; !values.empty();) {
      values = read(*input, 1 + random() % 20000, static_cast<std::uint32_t>(1 + random() % 1000));
      found.insert(found.end(), values.begin(), values.end());
    }
    writing.join();
    return found;
  }
};

TEST_F(TrickleTest, lines_survive_any_cut) {
  Strings lines;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += lines.emplace_back(random() % (i % 100 == 0 ? 20000 : 50), 'x') + '\n';
  EXPECT_EQ(trickle(text, InputFormat::lines), lines);
}

TEST_F(TrickleTest, msgpack_values_survive_any_cut) {
  Strings values;
  Buffer packed;
  Packer packer{packed};
  for (int i = 0; i < 5000; ++i) pack_value(packer, values.emplace_back(random() % (i % 100 == 0 ? 20000 : 50), 'x'));
  EXPECT_EQ(trickle(as_text(packed), InputFormat::msgpack), values);
}

}  // namespace
}  // namespace ventile
