#include <nodes/map/piece_writer.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include <tests/nodes/map/pieces.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

// Remembers what is written as "number outcome" and, for runs, "xcount".
class Memory : public Output {
public:
  std::vector<std::string> items;
  bool fails = false;

  Status write(const ResultItem& item) override {
    if (fails) return Error{Code::unavailable, "the disk is full"};
    items.push_back(std::to_string(item.number) + " " + std::string{to_string(item.outcome)} +
                    (item.count > 1 ? " x" + std::to_string(item.count) : ""));
    return {};
  }
  Status write_fold(Bytes packed, std::uint64_t count) override {
    const Result<std::int64_t> value = unpack_from<std::int64_t>(packed);
    items.push_back("fold " + std::to_string(value ? *value : -1) + " of " + std::to_string(count));
    return {};
  }
  Status flush() override { return {}; }
  Status close() override { return {}; }
};

class PieceWriterTest : public testing::Test {
protected:
  Memory output;
  VentilatorCallbacks callbacks;
  KeptInputs inputs{true};
  std::vector<std::string> told;

  PieceWriterTest() {
    callbacks.on_failures = [this](const FailureNote& note) {
      told.push_back(std::to_string(note.range.first) + "+" + std::to_string(note.range.count));
    };
  }
  void keep(Range range) {
    PayloadWriter payloads{0};
    for (std::uint64_t i = 0; i < range.count; ++i) payloads.append(Bytes{});
    inputs.add(range, payloads.view());
  }
};

TEST_F(PieceWriterTest, every_number_is_written_and_accounted_for) {
  keep({0, 7});
  PieceWriter writer{output, nullptr, callbacks, inputs};
  EXPECT_TRUE(writer.write(results({0, 3}, {1})));
  EXPECT_TRUE(writer.write(cancelled({3, 4})));
  EXPECT_TRUE(writer.close());
  EXPECT_EQ(output.items, (std::vector<std::string>{"0 done", "1 failed", "2 done", "3 cancelled x4"}));
  EXPECT_EQ(told, (std::vector<std::string>{"1+1", "3+4"}));
  EXPECT_EQ(writer.ledger().count(), 7U);
  EXPECT_EQ(writer.ledger().count(Outcome::done), 2U);
}

TEST_F(PieceWriterTest, the_input_of_each_that_is_not_done_is_handed_on) {
  std::vector<Number> failed;
  callbacks.on_failure = [&](Number number, Bytes, const FailureNote&) { failed.push_back(number); };
  keep({0, 6});
  PieceWriter writer{output, nullptr, callbacks, inputs};
  EXPECT_TRUE(writer.write(results({0, 3}, {2})));
  EXPECT_TRUE(writer.write(cancelled({4, 2})));
  EXPECT_EQ(failed, (std::vector<Number>{2, 4, 5}));
}

TEST_F(PieceWriterTest, results_are_combined_and_failures_written) {
  TaskRegistry tasks;
  tasks.add_fold<Scalar>("sum", std::plus<>{});
  keep({0, 4});
  const auto fold = tasks.find_fold("sum")->start();
  PieceWriter writer{output, fold.get(), callbacks, inputs};
  EXPECT_TRUE(writer.write(results({0, 4}, {1})));
  EXPECT_TRUE(writer.close());
  EXPECT_EQ(output.items, (std::vector<std::string>{"1 failed", "fold 5 of 3"}));
}

TEST_F(PieceWriterTest, what_cannot_be_written_is_an_error) {
  output.fails = true;
  keep({0, 1});
  PieceWriter writer{output, nullptr, callbacks, inputs};
  EXPECT_FALSE(writer.write(results({0, 1})));
}

}  // namespace
}  // namespace ventile
