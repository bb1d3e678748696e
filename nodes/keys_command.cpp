// `ventile keygen` and `ventile keys`: who may take part in a fabric, as files.
#include <nodes/node.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nodes/console.hpp>
#include <ventile/keys/key_tree.hpp>

namespace ventile {
namespace {

constexpr std::string_view default_root = "keys";

constexpr std::string_view keygen_usage =
    "usage: ventile keygen [--out DIR] [--if-missing]\n"
    "       ventile keygen [--out DIR] --add worker|client|admin --name NAME\n\n"
    "  --out DIR     where the keys are: a folder for each role, to be copied to the hosts that play it (keys)\n"
    "  --if-missing  end well if there are keys already, and leave them as they are\n"
    "  --add ROLE    one more key for this role; whoever serves with these keys lets it in at once\n"
    "  --name NAME   what it is called in lists and logs; its folder is DIR/ROLE-NAME\n\n"
    "Every node takes the folder with --keys DIR/ROLE; with --keys DIR it picks its own.\n";

constexpr std::string_view keys_usage =
    "usage: ventile keys list [--keys DIR]\n"
    "       ventile keys revoke NAME [--keys DIR]\n"
    "       ventile keys reload [--keys DIR]\n\n"
    "  list          whose keys there are: role, name, public key\n"
    "  revoke NAME   this key is not let in any more, and who has it now is cut off at once\n"
    "  reload        lets whoever serves with these keys read them again; SIGHUP does the same\n"
    "  --keys DIR    where the keys are: what `ventile keygen --out DIR` has made (keys)\n\n"
    "Changes are seen within a second by whoever serves from DIR on this machine. A sink elsewhere has a folder of "
    "its\n"
    "own: copy DIR/sink there again.\n";

// The words of a command line: "--name VALUE" or "--name=VALUE", and others.
struct Words {
  std::map<std::string, std::string, std::less<>> options;
  std::vector<std::string> others;

  std::string value(std::string_view name, std::string_view otherwise) const {
    const auto found = options.find(name);
    return found == options.end() ? std::string(otherwise) : found->second;
  }
};

// Or what is wrong with them.
std::variant<Words, std::string> words_of(const std::vector<std::string>& arguments,
                                          const std::vector<std::string_view>& known) {
  Words words;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      words.others.push_back(argument);
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (std::find(known.begin(), known.end(), name) == known.end()) return "unknown option --" + name;
    if (equals == std::string::npos && i + 1 == arguments.size()) return "--" + name + " needs a value";
    words.options[name] = equals == std::string::npos ? arguments[++i] : argument.substr(equals + 1);
  }
  return words;
}

bool wants_help(const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const std::string& one) { return one == "--help" || one == "-h"; });
}

int fail(std::string_view program, const std::string& why, std::string_view hint = {}) {
  return say({ExitCode::usage, why, std::string(hint), false}, std::string(program));
}

int add(const std::string& root, const Words& words) {
  constexpr std::string_view program = "ventile keygen";
  const std::optional<KeyRole> role = key_role_of(words.value("add", ""));
  if (!role) return fail(program, "--add: expected worker, client or admin");
  const std::string name = words.value("name", "");
  if (name.empty()) return fail(program, "--add needs a name", "Add --name NAME, by which the key is revoked one day.");
  const Result<std::string> folder = add_key(root, *role, name);
  if (!folder) return fail(program, folder.error().message);
  std::printf("%s: copy it to the host of this %s\n", folder->c_str(), std::string(to_string(*role)).c_str());
  return to_int(ExitCode::success);
}

int list(const std::string& root) {
  const Result<std::vector<KnownPeer>> all = list_keys(root);
  if (!all)
    return fail("ventile keys", all.error().message, "Make keys with `ventile keygen`, or name them with --keys.");
  for (const KnownPeer& peer : *all)
    std::printf("%-10s  %-20s  %s%s\n", std::string(to_string(peer.role)).c_str(), peer.name.c_str(),
                peer.public_key.c_str(), peer.revoked ? "  revoked" : "");
  return to_int(ExitCode::success);
}

int done_or_fail(const Status& status) {
  return status ? to_int(ExitCode::success) : fail("ventile keys", status.error().message);
}

}  // namespace

int run_keygen(const Invocation& invocation) {
  constexpr std::string_view program = "ventile keygen";
  if (wants_help(invocation.options))
    return say({ExitCode::success, std::string{keygen_usage}, {}, false}, std::string{program});
  std::vector<std::string> arguments = invocation.options;
  const bool if_missing = std::erase(arguments, "--if-missing") > 0;
  const auto parsed = words_of(arguments, {"out", "add", "name"});
  if (const auto* wrong = std::get_if<std::string>(&parsed)) return fail(program, *wrong, keygen_usage);
  const Words& words = std::get<Words>(parsed);
  if (!words.others.empty()) return fail(program, "unexpected '" + words.others.front() + "'", keygen_usage);
  const std::string root = words.value("out", default_root);
  if (words.options.contains("add")) return add(root, words);
  if (words.options.contains("name")) return fail(program, "--name is for --add only", keygen_usage);
  if (if_missing && has_key_tree(root)) {
    std::printf("%s: there are keys already\n", root.c_str());
    return to_int(ExitCode::success);
  }
  if (const Status made = make_key_tree(root); !made)
    return fail(program, made.error().message, "Add a key with --add ROLE --name NAME, or make others with --out DIR.");
  std::printf(
      "%s: keys of a dispatcher, a sink, a worker, a client and an admin; copy to each host the folder of its role\n",
      root.c_str());
  return to_int(ExitCode::success);
}

int run_keys(const Invocation& invocation) {
  constexpr std::string_view program = "ventile keys";
  if (wants_help(invocation.options))
    return say({ExitCode::success, std::string{keys_usage}, {}, false}, std::string{program});
  const auto parsed = words_of(invocation.options, {"keys"});
  if (const auto* wrong = std::get_if<std::string>(&parsed)) return fail(program, *wrong, keys_usage);
  const Words& words = std::get<Words>(parsed);
  const std::string root = words.value("keys", default_root);
  const std::string what = words.others.empty() ? "" : words.others.front();
  if (what == "list" && words.others.size() == 1) return list(root);
  if (what == "reload" && words.others.size() == 1) return done_or_fail(touch_keys(root));
  if (what == "revoke" && words.others.size() == 2) return done_or_fail(revoke_key(root, words.others[1]));
  return fail(program, "expected list, revoke NAME or reload", keys_usage);
}

}  // namespace ventile
