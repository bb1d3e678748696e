#include "bench/child.hpp"

#include <filesystem>
#include <stdexcept>

namespace ventile::bench {

Child::Child(const std::vector<std::string>& words) {
  std::string command = "exec " + std::filesystem::read_symlink("/proc/self/exe").string() + " --role";
  for (const std::string& word : words) command += ' ' + word;
  output_ = popen(command.c_str(), "re");
  if (output_ == nullptr) throw std::runtime_error("cannot start " + command);
}

Child::~Child() { pclose(output_); }

std::string Child::line() {
  std::string line;
  for (int letter = std::fgetc(output_); letter != '\n'; letter = std::fgetc(output_)) {
    if (letter == EOF) throw std::runtime_error("a role ended before it was ready");
    line += static_cast<char>(letter);
  }
  return line;
}

}  // namespace ventile::bench
