// A source of arguments as the command line names it.
#pragma once

#include <string>
#include <vector>

namespace ventile {

struct SourceSpec {
  std::vector<std::string> values;  // Of ::: and :::+ …
  std::string file;                 // … or of ::::, ::::+ and -a; "-" is standard input.
  bool from_file = false;
  bool linked = false;  // :::+ and ::::+ go along with the source before, one by one.

  bool operator==(const SourceSpec&) const = default;
};

}  // namespace ventile
