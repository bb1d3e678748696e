// `ventile up` as a test sees it.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <tests/system/children.hpp>
#include <tests/system/fabric.hpp>

namespace ventile {

class ClusterTest : public SystemTest {
protected:
  std::string address = "tcp://127.0.0.1:0";

  // Serves at `address`, which is the real one, when this returns.
  Process& start_up(Arguments arguments = {"-w", "2", "-j", "1"}) {
    arguments.insert(arguments.begin(), {"up", "--bind", address});
    Process& up = start("ventile", arguments);
    up.output_lines(1);
    address = up.output().substr(0, up.output().find('\n'));
    return up;
  }
  // Waits until the broker has so many workers; returns their names.
  std::vector<std::string> workers(std::size_t count) {
    std::vector<std::string> names;
    while (names.size() != count) {
      Process& status = start("ventile", {"status", "--json", "--connect", address});
      if (status.wait() != 0) break;
      names.clear();
      const nlohmann::json report = nlohmann::json::parse(status.output());
      for (const nlohmann::json& worker : report["workers"]) names.push_back(worker["name"]);
    }
    return names;
  }
  Process& start_map(Arguments arguments, int input = -1) {
    arguments.insert(arguments.begin(), {"map", "--connect", address});
    return start("ventile", arguments, input);
  }
};

}  // namespace ventile
