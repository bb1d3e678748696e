#include <nodes/io/output.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <memory>
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

using ::testing::HasSubstr;

class OutputTest : public ::testing::Test {
protected:
  TemporaryFolder folder;

  OutputTest() { std::signal(SIGPIPE, SIG_IGN); }

  std::unique_ptr<Output> open(OutputFormat format, OutputOptions options = {}) const {
    return opened(folder.path("results"), format, std::move(options));
  }

  static std::unique_ptr<Output> opened(const std::string& path, OutputFormat format, OutputOptions options = {}) {
    Result<std::unique_ptr<Output>> output = open_output(path, format, std::move(options));
    EXPECT_TRUE(output) << output.error().message;
    return output ? std::move(*output) : nullptr;
  }

  std::string written(Output& output) const {
    const Status closed = output.close();
    EXPECT_TRUE(closed) << closed.error().message;
    return folder.read("results");
  }

  template <class T>
  static bool write(Output& output, Number number, const T& value, Outcome outcome = Outcome::done) {
    const Buffer payload = pack_to_buffer(value);
    return bool{output.write({number, outcome, 1, payload})};
  }
};

const std::map<std::string, std::string> failure{{"kind", "boom"}, {"message", "it \"burst\""}};

TEST_F(OutputTest, a_result_is_a_line_of_json) {
  const std::unique_ptr<Output> output = open(OutputFormat::jsonl);
  EXPECT_TRUE(write(*output, 7, std::tuple{1, "a", 2.0}));
  EXPECT_TRUE(write(*output, 8, failure, Outcome::failed));
  EXPECT_TRUE(output->write({9, Outcome::lost, 3, {}}));
  EXPECT_TRUE(output->write_fold(pack_to_buffer(42), 1000));
  EXPECT_EQ(written(*output),
            R"({"task":7,"outcome":"done","value":[1,"a",2.0],"tries":1}
{"task":8,"outcome":"failed","error":{"kind":"boom","message":"it \"burst\""},"tries":1}
{"task":9,"outcome":"lost","error":null,"tries":3}
{"fold":42,"tasks":1000}
)");
}

TEST_F(OutputTest, a_result_is_a_msgpack_array) {
  const std::unique_ptr<Output> output = open(OutputFormat::msgpack);
  EXPECT_TRUE(write(*output, 7, "value"));
  EXPECT_TRUE(write(*output, 8, failure, Outcome::dead));
  EXPECT_TRUE(output->write({9, Outcome::expired, 0, {}}));
  EXPECT_TRUE(output->write_fold(pack_to_buffer(42), 1000));
  const std::string bytes = written(*output);
  Unpacker unpacker{as_bytes(bytes)};
  std::tuple<Number, std::string, std::string, int> done;
  std::tuple<Number, std::string, std::map<std::string, std::string>, int> dead;
  std::tuple<Number, std::string, std::optional<int>, int> expired;
  int fold = 0;
  ASSERT_TRUE(unpack_value(unpacker, done) && unpack_value(unpacker, dead) && unpack_value(unpacker, expired) &&
              unpack_value(unpacker, fold) && unpacker.at_end());
  EXPECT_EQ(done, std::tuple(7, "done", "value", 1));
  EXPECT_EQ(dead, std::tuple(8, "dead", failure, 1));
  EXPECT_EQ(expired, std::tuple(9, "expired", std::nullopt, 0));
  EXPECT_EQ(fold, 42);
}

TEST_F(OutputTest, a_run_of_tasks_that_ended_alike_is_one_entry) {
  const ResultItem cancelled{.number = 5, .outcome = Outcome::cancelled, .count = 1'000'000};
  const std::unique_ptr<Output> lines = open(OutputFormat::jsonl);
  EXPECT_TRUE(lines->write(cancelled));
  EXPECT_EQ(written(*lines), R"({"task":5,"outcome":"cancelled","error":null,"tries":0,"tasks":1000000})"
                             "\n");
  std::filesystem::remove(folder.path("results"));
  const std::unique_ptr<Output> arrays = open(OutputFormat::msgpack);
  EXPECT_TRUE(arrays->write(cancelled));
  const auto read = unpack_from<std::tuple<Number, std::string, std::monostate, int, int>>(as_bytes(written(*arrays)));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, std::tuple(5, "cancelled", std::monostate{}, 0, 1'000'000));
}

TEST_F(OutputTest, raw_writes_the_bytes_of_what_is_done) {
  const std::unique_ptr<Output> output = open(OutputFormat::raw, {.separator = "|"});
  EXPECT_TRUE(write(*output, 0, "text\n"));
  EXPECT_TRUE(write(*output, 1, std::vector<std::byte>{std::byte{0xff}}));
  EXPECT_TRUE(write(*output, 2, failure, Outcome::failed));
  EXPECT_TRUE(write(*output, 3, std::tuple{1, "a"}));
  EXPECT_TRUE(output->write_fold(pack_to_buffer("sum"), 3));
  EXPECT_EQ(written(*output), "text\n|\xff|[1,\"a\"]|sum|");
}

TEST_F(OutputTest, a_payload_that_is_not_msgpack_is_written_as_bytes) {
  for (const std::string_view bad : {"\xc1",
                                     "\xa5"
                                     "ab",
                                     "\x01\x02", "\xdb\x7f\xff\xff\xff"}) {
    for (const OutputFormat format : {OutputFormat::jsonl, OutputFormat::raw}) {
      const std::unique_ptr<Output> output = open(format, {.resume = true});
      EXPECT_TRUE(output->write({.payload = as_bytes(bad)}));
      EXPECT_THAT(written(*output), HasSubstr(R"({"$bytes":")"));
    }
    std::filesystem::remove(folder.path("results"));
    const std::unique_ptr<Output> output = open(OutputFormat::msgpack);
    EXPECT_TRUE(output->write({.payload = as_bytes(bad)}));
    const auto read = unpack_from<std::tuple<Number, std::string, std::string, int>>(as_bytes(written(*output)));
    ASSERT_TRUE(read);
    EXPECT_EQ(std::get<2>(*read), bad);
    std::filesystem::remove(folder.path("results"));
  }
}

TEST_F(OutputTest, nothing_is_in_the_file_before_it_is_flushed_and_all_is_after) {
  const std::unique_ptr<Output> output = open(OutputFormat::raw);
  EXPECT_TRUE(write(*output, 0, "a"));
  EXPECT_EQ(folder.read("results"), "");
  EXPECT_TRUE(output->flush());
  EXPECT_EQ(folder.read("results"), "a\n");
}

TEST_F(OutputTest, much_is_written_without_being_flushed) {
  const std::unique_ptr<Output> output = open(OutputFormat::raw);
  EXPECT_TRUE(write(*output, 0, std::string(1 << 20, 'x')));
  EXPECT_EQ(folder.read("results").size(), (1U << 20) + 1);
}

TEST_F(OutputTest, a_file_that_is_not_empty_is_refused_unless_resumed) {
  folder.write("results", "before\n");
  const Result<std::unique_ptr<Output>> refused = open_output(folder.path("results"), OutputFormat::raw);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(),
            (Error{Code::unavailable,
                   folder.path("results") + " is not empty: move it away, or, for a sink, add to it with --resume"}));
  const std::unique_ptr<Output> output = open(OutputFormat::raw, {.resume = true});
  EXPECT_TRUE(write(*output, 0, "after"));
  EXPECT_EQ(written(*output), "before\nafter\n");
}

TEST_F(OutputTest, a_file_that_cannot_be_had_is_named_with_the_cause) {
  const Result<std::unique_ptr<Output>> refused = open_output(folder.path("no/where"), OutputFormat::raw);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(),
            (Error{Code::unavailable, "cannot open " + folder.path("no/where") + ": No such file or directory"}));
}

TEST_F(OutputTest, a_full_disk_is_named) {
  const std::unique_ptr<Output> output = opened("/dev/full", OutputFormat::raw);
  EXPECT_TRUE(write(*output, 0, "a"));
  const Status flushed = output->flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error(), (Error{Code::overloaded, "cannot write /dev/full: No space left on device"}));
}

TEST_F(OutputTest, a_closed_pipe_is_named) {
  Pipe pipe;
  const std::unique_ptr<Output> output = opened(pipe.writer_path(), OutputFormat::raw);
  pipe.close_reader();
  EXPECT_TRUE(write(*output, 0, "a"));
  const Status closed = output->close();
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("Broken pipe"));
}

// The size to which this process may let files grow, and no signal when it tries more.
class FileSizeLimit {
public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    const rlimit lowered{bytes, saved_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lowered);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &saved_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

private:
  rlimit saved_{};
  void (*handler_)(int);
};

TEST_F(OutputTest, what_could_not_be_written_is_written_later) {
  const std::unique_ptr<Output> output = open(OutputFormat::raw);
  {
    const FileSizeLimit limit{1000};
    EXPECT_FALSE(write(*output, 0, std::string(300'000, 'a')));
    EXPECT_FALSE(write(*output, 1, std::string(300'000, 'b')));
    EXPECT_FALSE(output->flush());
    EXPECT_FALSE(output->close());
    EXPECT_EQ(folder.read("results"), std::string(1000, 'a'));
  }
  EXPECT_TRUE(output->flush());
  EXPECT_EQ(written(*output), std::string(300'000, 'a') + '\n' + std::string(300'000, 'b') + '\n');
}

TEST_F(OutputTest, standard_output_may_be_a_pipe_that_does_not_block) {
  Pipe pipe;
  ASSERT_EQ(::fcntl(pipe.writer(), F_SETFL, O_NONBLOCK), 0);
  std::unique_ptr<Output> output;
  {
    const ReplacedStream replaced{STDOUT_FILENO, pipe.writer()};
    output = opened("-", OutputFormat::raw, {.separator = ""});
  }
  pipe.close_writer();
  std::string found;
  std::thread reading{[&] { found = pipe.read_all(); }};
  EXPECT_TRUE(write(*output, 0, std::string(1 << 20, 'x')));
  EXPECT_TRUE(output->close());
  reading.join();
  EXPECT_EQ(found, std::string(1 << 20, 'x'));
}

}  // namespace
}  // namespace ventile
