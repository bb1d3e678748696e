#include <ventile/keys/key_role.hpp>

#include <array>

namespace ventile {

namespace {

constexpr std::array<std::string_view, 5> with_article{"a dispatcher", "a sink", "a worker", "a client", "an admin"};

}  // namespace

std::string_view one(KeyRole role) { return with_article.at(static_cast<std::size_t>(role)); }

std::string_view to_string(KeyRole role) {
  const std::string_view text = one(role);
  return text.substr(text.find(' ') + 1);
}

std::optional<KeyRole> key_role_of(std::string_view text) {
  for (std::size_t i = 0; i < with_article.size(); ++i)
    if (const auto role = static_cast<KeyRole>(i); to_string(role) == text) return role;
  return std::nullopt;
}

}  // namespace ventile
