// usage: wordcount-check RESULT FILES
//
// Shows the result of a word count (the sink's msgpack output) and counts the same files again, one after the other in
// one thread, by other means than the plugin: with C's stdio, isalpha in the C locale, and an ordered map. Exits with 1
// if anything differs. FILES holds the paths, each ended by a NUL byte.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include <examples/wordcount/tally.hpp>
#include <ventile/wire/convert.hpp>

namespace {

struct PlainCount {
  unsigned long long files = 0;
  unsigned long long skipped = 0;
  unsigned long long bytes = 0;
  std::map<std::string, unsigned long long> words;
};

bool has_text(const char* path, std::FILE* file) {
  static const std::regex compressed{R"(.*\.(gz|xz|bz2|zst|lz|Z|zip))"};
  const char* name = std::strrchr(path, '/');
  if (std::regex_match(name == nullptr ? path : name + 1, compressed)) return false;
  char head[8192];
  const std::size_t got = std::fread(head, 1, sizeof head, file);
  std::rewind(file);
  return std::memchr(head, 0, got) == nullptr;
}

void count_plainly(const char* path, PlainCount& count) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr || !has_text(path, file)) {
    ++count.skipped;
  } else {
    ++count.files;
    std::string word;
    for (int c = getc_unlocked(file); c != EOF; c = getc_unlocked(file)) {
      ++count.bytes;
      if (std::isalpha(c) != 0) {
        word += static_cast<char>(std::tolower(c));
      } else if (!word.empty()) {
        ++count.words[word];
        word.clear();
      }
    }
    if (!word.empty()) ++count.words[word];
  }
  if (file != nullptr) std::fclose(file);
}

std::string read_file(const char* path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void show(const Tally& tally) {
  std::vector<std::pair<std::uint64_t, std::string>> frequent;
  for (const auto& [word, count] : tally.words) frequent.emplace_back(count, word);
  std::sort(frequent.rbegin(), frequent.rend());
  frequent.resize(std::min<std::size_t>(frequent.size(), 20));
  std::printf("the %zu most frequent of %zu words:\n", frequent.size(), tally.words.size());
  for (const auto& [count, word] : frequent)
    std::printf("%12llu  %s\n", static_cast<unsigned long long>(count), word.c_str());
  std::printf("files %llu, skipped %llu (compressed or binary), bytes %llu\n",
              static_cast<unsigned long long>(tally.files), static_cast<unsigned long long>(tally.skipped),
              static_cast<unsigned long long>(tally.bytes));
}

bool same(const Tally& tally, const PlainCount& plain) {
  if (tally.files != plain.files || tally.skipped != plain.skipped || tally.bytes != plain.bytes) return false;
  if (tally.words.size() != plain.words.size()) return false;
  return std::all_of(plain.words.begin(), plain.words.end(), [&](const auto& entry) {
    const auto it = tally.words.find(entry.first);
    return it != tally.words.end() && it->second == entry.second;
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: wordcount-check RESULT FILES\n"), 2;
  const std::string packed = read_file(argv[1]);
  ventile::Result<Tally> tally = ventile::unpack_from<Tally>(ventile::as_bytes(packed));
  if (!tally) return std::fprintf(stderr, "%s is not a word count: %s\n", argv[1], tally.error().message.c_str()), 1;
  show(*tally);

  PlainCount plain;
  const std::string files = read_file(argv[2]);
  for (const char* path = files.data(); path < files.data() + files.size(); path += std::strlen(path) + 1)
    count_plainly(path, plain);
  if (!same(*tally, plain)) {
    std::printf("WRONG: a plain count gives %llu files, %llu skipped, %llu bytes, %zu words\n", plain.files,
                plain.skipped, plain.bytes, plain.words.size());
    return 1;
  }
  std::printf("checked: a plain single-threaded count of the same files gives the same\n");
  return 0;
}
