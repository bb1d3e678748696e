// Writes an input of the target `message` for each message there is, so that a search begins with all of their fields;
// or checks that the corpus has one of each that can be decoded.
//
//   usage: fuzz-seeds write|check FOLDER
#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <ventile/base/buffer.hpp>
#include <ventile/wire/codec.hpp>

#include "tests/fuzz/message_input.hpp"
#include "tests/support/random_message.hpp"

namespace {

using namespace ventile;
namespace fs = std::filesystem;

constexpr std::size_t input_bytes_max = 600;

std::uint32_t word_at(const Buffer& frame, std::size_t offset) {
  std::uint32_t word = 0;
  std::memcpy(&word, frame.data() + offset, sizeof word);
  return word;
}

// Empty if the message is too large for one.
std::string input_of(testing::Outgoing message) {
  const Buffer frame = encode(message.envelope, message.message, std::move(message.payloads));
  const std::uint32_t payloads = word_at(frame, 16);
  const std::uint32_t section = word_at(frame, 20);
  if (payloads > 255 || section > 255 || frame.size() > input_bytes_max) return {};
  const bool flag = frame.bytes()[9] != std::byte{0};
  std::string input{static_cast<char>(type_of(frame) | (flag ? fuzz::flag_of_input : 0)), static_cast<char>(payloads),
                    static_cast<char>(section)};
  return input.append(as_text(frame.bytes().subspan(frame_header_size)));
}

std::string file_name(const Message& message) {
  std::string name = std::string{"a-full-"} + name_of(message);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

// Three payloads of one size.
std::string input_without_table() {
  testing::Outgoing message{{{1, 2}, {3}, {4}, 5}, Tasks{.range = {7, 3}}, PayloadWriter{frame_header_size}};
  for (const char* payload : {"one ", "two ", "four"}) message.payloads.append(as_bytes(payload));
  return input_of(std::move(message));
}

// The fullest of some: lists that are empty teach a search nothing.
int write(const fs::path& folder) {
  std::ofstream{folder / "no-table", std::ios::binary} << input_without_table();
  constexpr int draws = 50;
  for (std::size_t type = 0; type < testing::message_types; ++type) {
    testing::Random random{type + 1};
    std::string fullest;
    std::string name;
    for (int i = 0; i < draws; ++i) {
      testing::Outgoing message = testing::random_message(type, random);
      name = file_name(message.message);
      if (std::string input = input_of(std::move(message)); input.size() > fullest.size()) fullest = std::move(input);
    }
    std::ofstream{folder / name, std::ios::binary} << fullest;
  }
  return 0;
}

int check(const fs::path& folder) {
  std::set<std::uint8_t> types;
  for (const fs::directory_entry& file : fs::directory_iterator{folder}) {
    std::ifstream stream{file.path(), std::ios::binary};
    const std::string input{std::istreambuf_iterator<char>(stream), {}};
    fuzz::Feed feed{as_bytes(input)};
    const Buffer frame = fuzz::frame_of(feed);
    if (decode(frame)) types.insert(type_of(frame));
  }
  int missing = 0;
  for (std::size_t type = 0; type < testing::message_types; ++type) {
    testing::Random random{1};
    const Message message = testing::random_message(type, random).message;
    const std::uint8_t number = std::visit([](const auto& m) { return m.type; }, message);
    if (types.contains(number)) continue;
    ++missing;
    std::printf("%s has no input for %s; write one with: fuzz-seeds write %s\n", folder.c_str(), name_of(message),
                folder.c_str());
  }
  return missing == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what == "write") return write(argv[2]);
  if (what == "check") return check(argv[2]);
  std::fputs("usage: fuzz-seeds write|check FOLDER\n", stderr);
  return 2;
}
