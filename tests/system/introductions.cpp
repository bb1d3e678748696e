#include <tests/system/introductions.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <tests/system/fabric.hpp>

namespace ventile {

int introductions_of(const Process& peer, Process& dispatcher) {
  const std::vector<std::string> lines = lines_of_text(dispatcher.errors());
  const std::string welcome = ":" + std::to_string(peer.pid()) + " is here";
  return static_cast<int>(std::count_if(
      lines.begin(), lines.end(), [&](const std::string& line) { return line.find(welcome) != std::string::npos; }));
}

}  // namespace ventile
