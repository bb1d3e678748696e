#include <ventile/net/lending.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ventile/base/mixed.hpp>
#include <ventile/base/shared_arena.hpp>

namespace ventile {
namespace {

using lending::lent_max;

constexpr const char* register_name = "ventile-tickets";

std::atomic<std::uint64_t> borrowed_total = 0;

// --- What is shared -----------------------------------------------------------------------------------------------

// A ticket: how often it was used, in the upper half, and what has become of it in the lower.
constexpr std::uint32_t free_state = 0;
constexpr std::uint32_t sent_state = 1;
constexpr std::uint32_t borrowed_flag = 0x80000000;  // And the borrower's process id.

constexpr std::uint32_t borrowed_by(pid_t process) { return borrowed_flag | static_cast<std::uint32_t>(process); }
constexpr std::uint64_t word_of(std::uint32_t use, std::uint32_t state) { return std::uint64_t{use} << 32 | state; }
constexpr std::uint32_t state_of(std::uint64_t word) { return static_cast<std::uint32_t>(word); }

struct Ticket {
  std::atomic<std::uint64_t> word = 0;
  std::uint64_t offset = 0;  // Of the frame, in the arena; bytes. Set before the ticket is sent.
  std::uint64_t size = 0;
};
struct Register {
  std::uint64_t key_high = 0;
  std::uint64_t key_low = 0;
  std::array<Ticket, lent_max> tickets{};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(Register) == 16 + 24 * lent_max);

// In place of a frame. Little-endian, as everything that is sent.
struct Note {
  std::array<char, 8> magic{'l', 'e', 'n', 't', 'V', 'N', 'T', 'L'};
  std::uint64_t key_high = 0;  // Of the lender's register.
  std::uint64_t key_low = 0;
  std::int32_t process = 0;
  std::int32_t arena = -1;  // Descriptors of that process.
  std::int32_t registered = -1;
  std::uint32_t ticket = 0;
  std::uint32_t use = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Note) == lending::note_bytes && std::is_trivially_copyable_v<Note>);

std::optional<Note> note_in(const Frame& frame) {
  const Bytes bytes = frame.bytes();
  if (bytes.size() != sizeof(Note) || std::memcmp(bytes.data(), Note{}.magic.data(), Note{}.magic.size()) != 0)
    return std::nullopt;
  Note note;
  std::memcpy(&note, bytes.data(), sizeof note);
  return note;
}

std::string path_of(pid_t process, int descriptor) {
  return "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
}

// A process that has ended is not, though its parent has not asked for it yet.
bool is_alive(pid_t process) {
  if (process <= 0) return false;
  const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (descriptor < 0) return errno != ESRCH && (::kill(process, 0) == 0 || errno == EPERM);
  pollfd ended{descriptor, POLLIN, 0};
  const bool alive = ::poll(&ended, 1, 0) == 0;
  ::close(descriptor);
  return alive;
}

void* map(int descriptor, std::size_t bytes, int protection) {
  void* const memory = mmap(nullptr, bytes, protection, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// --- The lender ---------------------------------------------------------------------------------------------------

class Lender {
public:
  static Lender& of_process() {
    static auto* const lender = new Lender;  // For as long as the process: frames may still be lent at its end.
    return *lender;
  }

  bool open() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(tried_, true)) return register_ != nullptr;
    SharedArena& arena = SharedArena::of_process();
    arena.on_exhausted([this] { collect(Clock::now()); });
    if (!arena.open()) return false;
    descriptor_ = memfd_create(register_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor_ < 0 || ftruncate(descriptor_, sizeof(Register)) != 0 ||
        fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
      return false;
    void* const memory = map(descriptor_, sizeof(Register), PROT_READ | PROT_WRITE);
    if (memory == nullptr) return false;
    register_ = new (memory) Register;
    register_->key_high = random_u64();
    register_->key_low = random_u64();
    for (Lent& lent : lent_) lent.use = static_cast<std::uint32_t>(random_u64());  // So that nobody can guess it.
    lent_now_.reserve(lent_max);
    for (std::uint32_t ticket = lent_max; ticket > 0; --ticket) free_.push_back(ticket - 1);
    return true;
  }

  std::optional<lending::Loan> lend(Frame& frame) {
    const Bytes bytes = frame.bytes();
    const SharedArena& arena = SharedArena::of_process();
    if (!arena.owns(bytes.data())) return std::nullopt;
    const std::lock_guard lock(mutex_);
    if (register_ == nullptr) return std::nullopt;
    const TimePoint now = Clock::now();
    collect_locked(now);
    if (free_.empty()) return std::nullopt;
    lending::Loan loan{.ticket = free_.back()};
    Lent& lent = lent_[loan.ticket];
    Note note;
    note.key_high = register_->key_high;
    note.key_low = register_->key_low;
    note.process = getpid();
    note.arena = arena.descriptor();
    note.registered = descriptor_;
    note.ticket = loan.ticket;
    note.use = lent.use + 1;
    loan.note = Frame::copy_of(std::as_bytes(std::span{&note, 1}));
    free_.pop_back();  // From here on nothing throws.
    lent.use = note.use;
    lent.frame = std::move(frame);
    lent.since = lent.looked = now;
    lent_now_.push_back(loan.ticket);
    Ticket& ticket = register_->tickets[loan.ticket];
    ticket.offset = arena.offset_of(bytes.data());
    ticket.size = bytes.size();
    ticket.word.store(word_of(lent.use, sent_state), std::memory_order_release);
    return loan;
  }

  void take_back(const lending::Loan& loan, Frame& frame) {
    const std::lock_guard lock(mutex_);
    Lent& lent = lent_[loan.ticket];
    register_->tickets[loan.ticket].word.store(word_of(lent.use, free_state), std::memory_order_relaxed);
    frame = std::move(lent.frame);
    std::erase(lent_now_, loan.ticket);
    free_.push_back(loan.ticket);
  }

  void collect(TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (register_ != nullptr) collect_locked(now);
  }

private:
  struct Lent {
    Frame frame;
    std::uint32_t use = 0;
    TimePoint since;
    TimePoint looked;  // For its borrower.
  };

  std::mutex mutex_;
  bool tried_ = false;
  int descriptor_ = -1;
  Register* register_ = nullptr;
  std::array<Lent, lent_max> lent_;
  std::vector<std::uint32_t> free_;      // Tickets.
  std::vector<std::uint32_t> lent_now_;  // The others.

  void collect_locked(TimePoint now) {
    std::erase_if(lent_now_, [&](std::uint32_t ticket) {
      Lent& lent = lent_[ticket];
      if (!is_over(lent, register_->tickets[ticket].word, now)) return false;
      lent.frame = Frame{};
      free_.push_back(ticket);
      return true;
    });
  }

  static bool is_over(Lent& lent, std::atomic<std::uint64_t>& ticket, TimePoint now) {
    std::uint64_t word = ticket.load(std::memory_order_acquire);
    if (word == word_of(lent.use, free_state)) return true;
    const std::uint32_t state = state_of(word);
    if (now - lent.looked < lending::borrower_looked_after) return false;
    lent.looked = now;
    if (state != sent_state) lent.since = now;  // It may be handed on, and is unread again from then on.
    const bool lost = state == sent_state ? now - lent.since > lending::unread_max
                                          : !is_alive(static_cast<pid_t>(state & ~borrowed_flag));
    return lost && ticket.compare_exchange_strong(word, word_of(lent.use, free_state));
  }
};

// --- The borrower -------------------------------------------------------------------------------------------------

// A lender's memory, as this process sees it.
class Mapping {
public:
  static Result<std::shared_ptr<Mapping>> of(const Note& note) {
    auto mapping = std::make_shared<Mapping>();
    mapping->process_ = note.process;
    const Result<void*> arena = map_of(note, note.arena, SharedArena::file_name, O_RDONLY, mapping->bytes_);
    if (!arena) return arena.error();
    mapping->memory_ = static_cast<const std::byte*>(*arena);
    const Result<void*> tickets = map_of(note, note.registered, register_name, O_RDWR, mapping->register_bytes_);
    if (!tickets) return tickets.error();
    mapping->register_ = static_cast<Register*>(*tickets);
    if (mapping->register_bytes_ != sizeof(Register) || mapping->register_->key_high != note.key_high ||
        mapping->register_->key_low != note.key_low)
      return cannot(note, "it is not the one that the note names");
    return mapping;
  }

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (memory_ != nullptr) munmap(const_cast<std::byte*>(memory_), bytes_);
    if (register_ != nullptr) munmap(register_, register_bytes_);
  }

  static Error cannot(const Note& note, const std::string& why) {
    return {is_alive(note.process) ? Code::failed : Code::disconnected,
            "Cannot read what process " + std::to_string(note.process) + " lends: " + why + "."};
  }

  pid_t process() const { return process_; }
  std::size_t bytes() const { return bytes_; }
  const std::byte* memory() const { return memory_; }
  Ticket& ticket(std::uint32_t ticket) { return register_->tickets[ticket]; }

private:
  pid_t process_ = 0;
  const std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  Register* register_ = nullptr;
  std::size_t register_bytes_ = 0;

  // Opens nothing but sealed memory that Ventile has made for this user: what stands in a note may come from anybody.
  static Result<void*> map_of(const Note& note, int descriptor, const char* name, int mode, std::size_t& bytes) {
    const std::string path = path_of(note.process, descriptor);
    std::array<char, 64> target{};
    if (readlink(path.c_str(), target.data(), target.size() - 1) < 0) {
      const int error = errno;
      Error why = cannot(note, path + " cannot be looked at: " + std::strerror(error));
      if (error == ENOENT) why.code = Code::disconnected;  // A lender never closes it, but a process that is ending.
      return why;
    }
    if (std::string_view{target.data()} != "/memfd:" + std::string{name} + " (deleted)")
      return cannot(note, path + " is something else");
    const int file = ::open(path.c_str(), mode | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return cannot(note, path + " cannot be opened: " + std::strerror(errno));
    struct stat status {};
    void* memory = nullptr;
    const int seals = fcntl(file, F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(file, &status) == 0 && status.st_uid == geteuid() &&
        status.st_size > 0) {
      bytes = static_cast<std::size_t>(status.st_size);
      memory = map(file, bytes, mode == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ);
    }
    ::close(file);
    if (memory == nullptr) return cannot(note, path + " cannot be mapped, or is not this user's");
    return memory;
  }
};

class Borrower {
public:
  static Borrower& of_process() {
    static auto* const borrower = new Borrower;
    return *borrower;
  }

  Status borrow(const Note& note, Frame& frame, std::size_t bytes_max) {
    Result<std::shared_ptr<Mapping>> mapping = mapping_of(note);
    if (!mapping) return mapping.error();
    if (note.ticket >= lent_max) return Mapping::cannot(note, "there is no such ticket");
    const auto borrowed = std::make_shared<Borrowed>(*mapping, note);
    if (!borrowed->begin()) return Mapping::cannot(note, "it was lent too long ago");
    const Ticket& ticket = (*mapping)->ticket(note.ticket);
    const std::uint64_t offset = ticket.offset;
    const std::uint64_t size = ticket.size;
    if (size > bytes_max || size > (*mapping)->bytes() || offset > (*mapping)->bytes() - size)
      return Mapping::cannot(note, "it has more bytes than a frame may have, or lies elsewhere");
    const Bytes bytes{(*mapping)->memory() + offset, size};
    enter(*borrowed, bytes);
    frame = Frame::in(borrowed, bytes);
    ++borrowed_total;
    return {};
  }

  // None if the frame is not all of what was borrowed, or was borrowed twice, so that the ticket is not known.
  std::optional<lending::Loan> hand_on(Frame& frame) {
    const std::lock_guard lock(mutex_);
    const Bytes bytes = frame.bytes();
    const auto [it, end] = borrowed_.equal_range(bytes.data());
    if (it == end || std::next(it) != end || it->second->size() != bytes.size()) return std::nullopt;
    Borrowed& borrowed = *it->second;
    if (!is_alive(borrowed.note().process)) return std::nullopt;  // Nobody else could open its memory any more.
    lending::Loan loan{.note = Frame::copy_of(std::as_bytes(std::span{&borrowed.note(), 1})),
                       .ticket = borrowed.note().ticket};
    if (!borrowed.hand_on()) return std::nullopt;
    loan.handed_on = std::move(frame);
    return loan;
  }

  void take_back(lending::Loan& loan, Frame& frame) {
    const std::lock_guard lock(mutex_);
    const auto [it, end] = borrowed_.equal_range(loan.handed_on.bytes().data());
    const auto is_its = [&loan](const auto& entry) { return entry.second->note().ticket == loan.ticket; };
    if (const auto its = std::find_if(it, end, is_its); its != end) its->second->begin();
    frame = std::move(loan.handed_on);  // If its lender has just given up waiting, the checksum will be wrong.
  }

  void forget_the_dead() {
    const std::lock_guard lock(mutex_);
    forget_some();
  }

private:
  // Gives the frame back when nobody here needs it any more.
  class Borrowed {
  public:
    Borrowed(std::shared_ptr<Mapping> mapping, const Note& note)
        : mapping_(std::move(mapping)), note_(note), word_(mapping_->ticket(note.ticket).word) {}
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    // In a process that was forked off, it is the parent's still.
    ~Borrowed() {
      if (process_ != getpid()) return;
      if (size_ > 0) of_process().leave(*this);
      std::uint64_t mine = word_of(note_.use, borrowed_by(process_));
      if (has_it_) word_.compare_exchange_strong(mine, word_of(note_.use, free_state), std::memory_order_acq_rel);
    }

    // False if the note is not good (any more).
    bool begin() {
      std::uint64_t expected = word_of(note_.use, sent_state);
      has_it_ =
          word_.compare_exchange_strong(expected, word_of(note_.use, borrowed_by(process_)), std::memory_order_acq_rel);
      return has_it_;
    }
    // The opposite. What becomes of it is no business of this one any more, be its next borrower this process again.
    bool hand_on() {
      std::uint64_t mine = word_of(note_.use, borrowed_by(process_));
      if (!has_it_ || process_ != getpid()) return false;
      has_it_ = false;
      return word_.compare_exchange_strong(mine, word_of(note_.use, sent_state), std::memory_order_acq_rel);
    }

    void set_bytes(Bytes bytes) {
      data_ = bytes.data();
      size_ = bytes.size();
    }
    const Note& note() const { return note_; }
    const std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    std::shared_ptr<Mapping> mapping_;
    Note note_;
    std::atomic<std::uint64_t>& word_;
    pid_t process_ = getpid();
    bool has_it_ = false;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;  // 0: nothing is known of it yet.
  };
  using Key = std::pair<std::uint64_t, std::uint64_t>;

  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Mapping>> mappings_;
  std::unordered_multimap<const std::byte*, Borrowed*> borrowed_;  // By where it lies.

  void enter(Borrowed& borrowed, Bytes bytes) {
    const std::lock_guard lock(mutex_);
    borrowed.set_bytes(bytes);
    borrowed_.emplace(bytes.data(), &borrowed);
  }
  void leave(const Borrowed& borrowed) {
    const std::lock_guard lock(mutex_);
    const auto [it, end] = borrowed_.equal_range(borrowed.data());
    const auto is_it = [&borrowed](const auto& entry) { return entry.second == &borrowed; };
    if (const auto its = std::find_if(it, end, is_it); its != end) borrowed_.erase(its);
  }

  Result<std::shared_ptr<Mapping>> mapping_of(const Note& note) {
    const std::lock_guard lock(mutex_);
    const Key key{note.key_high, note.key_low};
    if (const auto it = mappings_.find(key); it != mappings_.end()) return it->second;
    Result<std::shared_ptr<Mapping>> mapping = Mapping::of(note);
    if (!mapping) return mapping;
    forget_some();
    mappings_.emplace(key, *mapping);
    return mapping;
  }

  // A lender that is dead, whose memory only we still hold; and others, if there are too many.
  void forget_some() {
    std::erase_if(mappings_, [&](const auto& entry) {
      const std::shared_ptr<Mapping>& mapping = entry.second;
      return mapping.use_count() == 1 && (mappings_.size() >= lending::lenders_max || !is_alive(mapping->process()));
    });
  }
};

// --- Who can read whose memory ------------------------------------------------------------------------------------

std::atomic<bool> switched_off = false;

void add(MachineId& machine, std::string_view text) {
  for (const char c : text) {
    machine.high = mixed(machine.high + static_cast<unsigned char>(c) + 1);
    machine.low = mixed(machine.low ^ (machine.high + 0x9e3779b97f4a7c15ULL));
  }
}

// Whether what this process opens can be opened by way of /proc, and by others.
bool can_be_read() {
  if (prctl(PR_GET_DUMPABLE) != 1) return false;
  const int file = memfd_create("ventile-probe", MFD_CLOEXEC);
  if (file < 0) return false;
  struct stat made {};
  struct stat found {};  // Something else, if /proc is that of other process ids.
  const bool is_it = fstat(file, &made) == 0 && ::stat(path_of(getpid(), file).c_str(), &found) == 0 &&
                     made.st_dev == found.st_dev && made.st_ino == found.st_ino;
  ::close(file);
  return is_it;
}

MachineId look_at_machine() {
  if (!can_be_read()) return {};
  std::string boot;
  if (!std::getline(std::ifstream{"/proc/sys/kernel/random/boot_id"}, boot)) return {};
  MachineId machine;
  add(machine, boot);
  for (const char* const space : {"/proc/self/ns/pid", "/proc/self/ns/user"}) {
    struct stat status {};
    if (::stat(space, &status) != 0) return {};
    add(machine, ' ' + std::to_string(status.st_dev) + ' ' + std::to_string(status.st_ino));
  }
  add(machine, ' ' + std::to_string(geteuid()) + ' ' + std::to_string(getegid()));
  return machine;
}

}  // namespace

MachineId machine_of_process() {
  static const MachineId machine = look_at_machine();
  return switched_off ? MachineId{} : machine;
}

bool may_lend_to(MachineId machine, const Endpoint& address) {
  return machine && machine == machine_of_process() &&
         (address.transport == Transport::ipc || (address.transport == Transport::tcp && is_own_address(address.host)));
}

void switch_off_lending() { switched_off = true; }

void start_lending() {
  if (!switched_off) (void)Lender::of_process().open();
}

std::optional<lending::Loan> lending::lend(Frame& frame) {
  if (frame.size() < SharedArena::smallest) return std::nullopt;
  std::optional<Loan> loan = Lender::of_process().lend(frame);
  return loan ? std::move(loan) : Borrower::of_process().hand_on(frame);
}

void lending::take_back(Loan& loan, Frame& frame) {
  loan.handed_on.empty() ? Lender::of_process().take_back(loan, frame) : Borrower::of_process().take_back(loan, frame);
}

void lending::collect(TimePoint now) { Lender::of_process().collect(now); }
std::uint64_t lending::borrowed_count() { return borrowed_total; }

bool is_on_this_machine(const Frame& frame) {
  const std::string_view address = frame.peer_address();
  // Of ipc's peers libzmq says "localhost:USER:GROUP:PROCESS", of tcp's a numeric address.
  if (address.empty() || address.front() == ':' || address.starts_with("localhost")) return true;
  static std::mutex mutex;
  static std::string last;
  const std::lock_guard lock(mutex);
  if (address == last) return true;
  if (!is_own_address(address)) return false;
  last = address;
  return true;
}

bool is_note(const Frame& frame) { return note_in(frame).has_value(); }

Status borrow(Frame& frame, std::size_t bytes_max) {
  const std::optional<Note> note = note_in(frame);
  if (!note) return {};
  if (!is_on_this_machine(frame))
    return Error{Code::failed, "Cannot read what " + std::string{frame.peer_address()} + " lends: another machine."};
  return Borrower::of_process().borrow(*note, frame, bytes_max);
}

void let_go_of_what_is_lent(TimePoint now) {
  static std::atomic<std::int64_t> next = 0;
  std::int64_t due = next;
  const std::int64_t ticks = now.time_since_epoch().count();
  if (ticks < due || !next.compare_exchange_strong(due, ticks + Duration{std::chrono::seconds{1}}.count())) return;
  Lender::of_process().collect(now);
  Borrower::of_process().forget_the_dead();
}

}  // namespace ventile
