#include <ventile/task/launch.hpp>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

// Functions that are left by execve() instead of returning, on a stack and in a thread that are used again: what the
// sanitizers note on entry and take back on return would stay for ever.
#define VENTILE_ENDS_IN_ANOTHER_PROGRAM __attribute__((no_sanitize("address"), no_sanitize("thread")))

namespace ventile::zygote {
namespace {

constexpr char shell[] = "/bin/sh";
constexpr std::string_view default_search_path = "/usr/local/bin:/usr/bin:/bin";

std::string_view name_of(const char* variable) {
  const std::string_view text{variable};
  return text.substr(0, text.find('='));
}

char* next_string(char*& at) {
  char* const text = at;
  at += std::strlen(at) + 1;
  return text;
}

}  // namespace

Launcher::Launcher(const std::vector<ResourceLimit>& limits) : stack_(new std::byte[stack_bytes]), limits_(limits) {}

// The child shares our memory and we stand still until it executes or exits (what vfork does, but on a stack of its
// own): nothing is copied, and what it notes in launched_ we can read.
Launched Launcher::launch(ReceivedRequest& received) {
  parse(received);
  launched_ = {};
  const pid_t process = clone(&Launcher::enter, stack_.get() + stack_bytes, CLONE_VM | CLONE_VFORK | SIGCHLD, this);
  if (process < 0) return {Step::process, errno, 0};
  launched_.process = process;
  if (launched_.step != Step::begun) waitpid(process, nullptr, 0);
  return launched_;
}

void Launcher::parse(ReceivedRequest& received) {
  standard_ = {received[Passed::standard_input].get(), received[Passed::standard_output].get(),
               received[Passed::standard_error].get()};
  char* at = received.body.data();
  const char* const end = at + received.body.size();
  directory_ = next_string(at);
  nice_ = received.request.nice;
  words_.assign(1, const_cast<char*>(shell));
  for (std::uint32_t i = 0; i < received.request.argument_count; ++i) words_.push_back(next_string(at));
  words_.push_back(nullptr);
  environment_.clear();
  while (at < end) environment_.push_back(next_string(at));
  add_inherited_environment(environment_.size());
  environment_.push_back(nullptr);
}

void Launcher::add_inherited_environment(std::size_t own_count) {
  for (char** inherited = environ; *inherited != nullptr; ++inherited) {
    bool replaced = false;
    for (std::size_t i = 0; i < own_count; ++i) replaced |= name_of(environment_[i]) == name_of(*inherited);
    if (!replaced) environment_.push_back(*inherited);
  }
}

VENTILE_ENDS_IN_ANOTHER_PROGRAM int Launcher::enter(void* launcher) {
  static_cast<Launcher*>(launcher)->become_command();
  _exit(127);
}

VENTILE_ENDS_IN_ANOTHER_PROGRAM void Launcher::become_command() {
  set_up_process();
  if (!set_up_descriptors()) {
    fail(Step::descriptors);
  } else if (*directory_ != '\0' && chdir(directory_) != 0) {
    fail(Step::directory);
  } else {
    find_and_execute();
    fail(Step::program);
  }
}

void Launcher::fail(Step step) {
  launched_.step = step;
  launched_.error = errno;
}

void Launcher::set_up_process() {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  [[maybe_unused]] const int niceness = nice(nice_);
  for (const ResourceLimit& limit : limits_) {
    const rlim_t grace = limit.resource == RLIMIT_CPU ? 1 : 0;  // Told by SIGXCPU first.
    const rlimit both{limit.value, limit.value + grace};
    (void)setrlimit(static_cast<__rlimit_resource_t>(limit.resource), &both);  // More than we may have: as it is.
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The zygote's own 0, 1 and 2 are /dev/null and all its others close when a program is executed.
bool Launcher::set_up_descriptors() {
  const auto [input, output, error] = standard_;
  return dup2(output, STDOUT_FILENO) >= 0 && dup2(error, STDERR_FILENO) >= 0 &&
         (input < 0 || dup2(input, STDIN_FILENO) >= 0);
}

// Returns only if it fails, with errno set: a program that is there but may not be run outweighs one not found.
VENTILE_ENDS_IN_ANOTHER_PROGRAM void Launcher::find_and_execute() {
  const std::string_view name{words_[1]};
  if (name.find('/') != std::string_view::npos) return execute(words_[1]);
  execute_where_last_found(name);
  int failure = ENOENT;
  errno = ENOENT;
  std::string_view rest = search_path();
  while (true) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    candidate_.assign(folder.empty() ? "." : folder).append("/").append(name);
    if (!name.empty() && access(candidate_.c_str(), X_OK) == 0) {
      note_found(name);
      execute(candidate_.c_str());
    }
    if (errno != ENOENT && errno != ENOTDIR) failure = errno;
    if (folder.size() == rest.size()) break;
    rest.remove_prefix(folder.size() + 1);
  }
  errno = failure;
}

// Of many commands most are the same program. Where it is gone since, it is sought again.
VENTILE_ENDS_IN_ANOTHER_PROGRAM void Launcher::execute_where_last_found(std::string_view name) {
  if (name == found_name_ && found_search_path_ == search_path()) execute(found_.c_str());
}

// What we write here our parent will read, whose memory it is.
void Launcher::note_found(std::string_view name) {
  if (candidate_.front() != '/') return;
  found_ = candidate_;
  found_name_ = name;
  found_search_path_ = search_path();
}

// A script without a #! line goes to the shell, as everywhere.
VENTILE_ENDS_IN_ANOTHER_PROGRAM void Launcher::execute(const char* path) {
  execve(path, words_.data() + 1, environment_.data());
  if (errno != ENOEXEC) return;
  char* const first = words_[1];
  words_[1] = const_cast<char*>(path);
  execve(shell, words_.data(), environment_.data());
  words_[1] = first;
}

const char* Launcher::search_path() const {
  for (const char* variable : environment_) {
    if (variable != nullptr && name_of(variable) == "PATH") return variable + std::strlen("PATH=");
  }
  return default_search_path.data();
}

}  // namespace ventile::zygote
