#include <ventile/wire/base64.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ventile {
namespace {

std::string decoded(std::string_view text) {
  const std::optional<Buffer> bytes = decode_base64(text);
  return bytes ? std::string{as_text(*bytes)} : "refused";
}

TEST(Base64, agrees_with_the_examples_of_rfc_4648) {
  const std::vector<std::pair<std::string_view, std::string_view>> examples = {{"", ""},
                                                                               {"f", "Zg=="},
                                                                               {"fo", "Zm8="},
                                                                               {"foo", "Zm9v"},
                                                                               {"foob", "Zm9vYg=="},
                                                                               {"fooba", "Zm9vYmE="},
                                                                               {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : examples) {
    std::string text;
    append_base64(as_bytes(plain), text);
    EXPECT_EQ(text, encoded);
    EXPECT_EQ(decoded(encoded), plain);
  }
}

TEST(Base64, every_byte_survives) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string text;
  append_base64(as_bytes(all), text);
  EXPECT_EQ(decoded(text), all);
}

TEST(Base64, what_it_would_not_write_itself_is_refused) {
  for (const std::string_view text : {"Zg=", "Zg", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Zm-v", "Zg==Zg=="}) {
    EXPECT_FALSE(decode_base64(text)) << text;
  }
}

}  // namespace
}  // namespace ventile
