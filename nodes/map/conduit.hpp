// What flows through a map at a broker, between the threads that read, talk and write.
//
//   reader ---- room, submitted ----> [window]          <---- written ---- writer
//   client ---- pieces -------------> [lineup] ---- pieces, in order ----> writer
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include <nodes/map/lineup.hpp>
#include <nodes/map/map_window.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/base/range.hpp>

namespace ventile {

class Conduit {
public:
  // Fetching: nothing is submitted, and what is to come is known when all of it has.
  Conduit(bool ordered, MapWindowOptions window, bool fetching = false)
      : lineup_(ordered), window_(window), fetching_(fetching) {}

  // --- Reader ---

  // Waits until more may be submitted: how many tasks; 0: no more is wanted.
  std::uint64_t wait_for_room();
  // The numbers of tasks that are about to be submitted. None if they are not wanted any more.
  std::optional<Range> on_submitted(std::uint64_t count, std::uint64_t bytes);
  void on_input_ended();  // Nothing more will be submitted.

  // --- Client ---

  void add(Piece piece);
  void on_whole(std::uint64_t total);      // Fetching: so many results have come, and there are no others.
  void on_over(const std::string& error);  // Nothing more will come. Not empty: why not everything has come.

  bool is_being_written() const;  // A piece, or one may be.

  // --- Writer ---

  // The next piece, if it comes in time.
  std::optional<Piece> take(Duration patience);
  void on_written(Range range);
  // Everything that was or will be submitted is written, or nothing more will come.
  bool is_done() const;

  // --- Any ---

  void stop_reading();
  bool input_ended() const;
  std::uint64_t submitted() const;
  bool is_fetching() const { return fetching_; }
  bool is_fetched() const;  // All results have come and are written.
  std::string error() const;

private:
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  Lineup lineup_;
  MapWindow window_;
  bool fetching_;
  std::uint64_t fetched_ = 0;           // Numbers.
  std::uint64_t fetched_written_ = 0;   // Of those.
  std::optional<std::uint64_t> total_;  // Of what is fetched.
  bool wanted_ = true;                  // More tasks.
  bool input_ended_ = false;
  bool writing_ = false;
  bool over_ = false;
  std::string error_;

  bool all_written() const;
};

}  // namespace ventile
