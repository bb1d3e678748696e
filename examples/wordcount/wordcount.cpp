// A plugin for ventile-worker: counts the words of a text file, and adds such counts up.
//
// A word is a run of ASCII letters, in lower case. Files whose name says that they are compressed, and files with a NUL
// among their first 8 KiB, are skipped and counted.
#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <examples/wordcount/tally.hpp>
#include <ventile/task/plugin.hpp>

namespace {

bool is_compressed(std::string_view path) {
  constexpr std::array endings{".gz", ".xz", ".bz2", ".zst", ".lz", ".Z", ".zip"};
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return path.ends_with(ending); });
}

bool is_binary(std::string_view content) { return content.substr(0, 8192).find('\0') != std::string_view::npos; }

// The letter in lower case, or 0 for what separates words.
constexpr std::array<char, 256> letters = [] {
  std::array<char, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c)
    table[static_cast<std::size_t>(c)] = table[static_cast<std::size_t>(c - 'a' + 'A')] = static_cast<char>(c);
  return table;
}();

void count_words(std::string_view text, std::unordered_map<std::string, std::uint64_t>& words) {
  std::string word;
  for (const char c : text) {
    if (const char letter = letters[static_cast<unsigned char>(c)]; letter != 0) {
      word.push_back(letter);
    } else if (!word.empty()) {
      ++words[word];
      word.clear();
    }
  }
  if (!word.empty()) ++words[word];
}

Tally count_file(const std::string& path) {
  Tally tally;
  std::ifstream file{path, std::ios::binary};
  const std::string content{std::istreambuf_iterator<char>{file}, {}};
  if (!file.is_open() || is_compressed(path) || is_binary(content)) {
    tally.skipped = 1;
    return tally;
  }
  tally.files = 1;
  tally.bytes = content.size();
  count_words(content, tally.words);
  return tally;
}

void add(Tally& sum, const Tally& tally) {
  sum.files += tally.files;
  sum.skipped += tally.skipped;
  sum.bytes += tally.bytes;
  for (const auto& [word, count] : tally.words) sum.words[word] += count;
}

}  // namespace

VENTILE_PLUGIN(registry) {
  registry.add("wordcount", count_file);
  registry.add_fold<Tally>("add_tallies", add);
}
