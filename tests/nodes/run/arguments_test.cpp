#include <nodes/run/arguments.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

class ArgumentsTest : public testing::Test {
protected:
  TemporaryFolder folder;

  static SourceSpec listed(std::vector<std::string> values, bool linked = false) {
    return {std::move(values), {}, false, linked};
  }
  SourceSpec file(std::string_view text, bool linked = false) {
    return {{}, folder.write("file" + std::to_string(++files_), text), true, linked};
  }
  static Rows rows(const std::vector<SourceSpec>& specs, const ArgumentOptions& options = {}, Row* names = nullptr) {
    Result<std::unique_ptr<Arguments>> arguments = Arguments::open(specs, options);
    EXPECT_TRUE(arguments) << arguments.error().message;
    if (!arguments) return {};
    if (names != nullptr) *names = (*arguments)->names();
    Rows rows;
    for (Row row;;) {
      const auto next = (*arguments)->next(row, true);
      EXPECT_TRUE(next);
      if (!next || *next != ArgumentSource::Next::value) return rows;
      rows.push_back(row);
    }
  }

private:
  int files_ = 0;
};

TEST_F(ArgumentsTest, each_value_is_a_task) {
  EXPECT_THAT(rows({listed({"a", "b"})}), ElementsAre(Row{"a"}, Row{"b"}));
}

TEST_F(ArgumentsTest, lines_of_a_file_are_values) {
  EXPECT_THAT(rows({file("a\n\nb")}), ElementsAre(Row{"a"}, Row{""}, Row{"b"}));
}

TEST_F(ArgumentsTest, an_empty_line_is_no_task_if_so_asked) {
  EXPECT_THAT(rows({file("a\n\nb\n")}, {.skip_empty = true}), ElementsAre(Row{"a"}, Row{"b"}));
}

TEST_F(ArgumentsTest, values_may_end_with_nul) {
  EXPECT_THAT(rows({file(std::string_view{"a\nb\0c\0", 6})}, {.delimiter = '\0'}), ElementsAre(Row{"a\nb"}, Row{"c"}));
}

TEST_F(ArgumentsTest, several_sources_are_combined_the_last_varying_fastest) {
  EXPECT_THAT(rows({listed({"a", "b"}), file("1\n2\n")}),
              ElementsAre(Row{"a", "1"}, Row{"a", "2"}, Row{"b", "1"}, Row{"b", "2"}));
}

TEST_F(ArgumentsTest, linked_sources_go_side_by_side_and_end_with_the_shortest) {
  EXPECT_THAT(rows({listed({"a", "b", "c"}), listed({"x", "y"}, true)}), ElementsAre(Row{"a", "x"}, Row{"b", "y"}));
  EXPECT_THAT(rows({listed({"a", "b"}), listed({"1", "2"}), listed({"x", "y", "z"}, true)}),
              ElementsAre(Row{"a", "1", "x"}, Row{"a", "2", "y"}, Row{"b", "1", "x"}, Row{"b", "2", "y"}));
}

TEST_F(ArgumentsTest, an_empty_source_makes_no_task) {
  EXPECT_THAT(rows({listed({"a"}), listed({})}), IsEmpty());
  EXPECT_THAT(rows({listed({}), listed({"a"})}), IsEmpty());
}

TEST_F(ArgumentsTest, several_values_may_make_one_task) {
  EXPECT_THAT(rows({listed({"a", "b", "c"})}, {.arguments_each = 2}), ElementsAre(Row{"a", "b"}, Row{"c"}));
}

TEST_F(ArgumentsTest, columns_are_split_by_text_or_pattern_and_trimmed) {
  EXPECT_THAT(rows({listed({"a, b", "c"})}, {.column_separator = ",", .trim = true}),
              ElementsAre(Row{"a", "b"}, Row{"c"}));
  EXPECT_THAT(rows({listed({"a;b,c"})}, {.column_separator = "[,;]"}), ElementsAre(Row{"a", "b", "c"}));
  EXPECT_THAT(rows({listed({"a\tb"})}, {.column_separator = "\\t"}), ElementsAre(Row{"a", "b"}));
}

TEST_F(ArgumentsTest, the_first_value_of_every_source_names_its_columns) {
  Row names;
  EXPECT_THAT(
      rows({file("size,file\n7,x\n"), listed({"mode", "r"})}, {.column_separator = ",", .header = true}, &names),
      ElementsAre(Row{"7", "x", "r"}));
  EXPECT_THAT(names, ElementsAre("size", "file", "mode"));
}

TEST_F(ArgumentsTest, a_file_that_is_not_there_and_a_bad_pattern_are_errors) {
  EXPECT_FALSE(Arguments::open({SourceSpec{{}, "/nonexistent", true, false}}, {}));
  EXPECT_FALSE(Arguments::open({listed({"a"})}, {.column_separator = "["}));
}

TEST_F(ArgumentsTest, a_value_without_an_end_in_sight_is_an_error) {
  auto arguments = *Arguments::open({file(std::string(400'000, 'x'))}, {.value_bytes_max = 1000});
  Row row;
  EXPECT_FALSE(arguments->next(row, true));
}

}  // namespace
}  // namespace ventile
