// The Mandelbrot set as a picture: a task for each row, results in order, so that they are written as they come.
//
// usage: mandelbrot FILE.png [ADDRESS]
#include <complex>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <png.h>

#include <ventile/ventile.hpp>

namespace {

constexpr std::uint32_t width = 768;
constexpr std::uint32_t height = 512;
constexpr int iterations_max = 255;

// The middle of a pixel, in the plane: real parts from -2 to 1, imaginary parts from 1 down to -1.
std::complex<double> point_of(std::uint32_t x, std::uint32_t y) {
  return {-2.0 + 3.0 * (x + 0.5) / width, 1.0 - 2.0 * (y + 0.5) / height};
}

// After how many steps the point has left; 0 if it stays, as points of the set do.
std::uint8_t steps_of(std::complex<double> c) {
  std::complex<double> z;
  for (int i = 1; i <= iterations_max; ++i) {
    z = z * z + c;
    if (std::norm(z) > 4) return static_cast<std::uint8_t>(i);
  }
  return 0;
}

std::vector<std::uint8_t> row(std::uint32_t y) {
  std::vector<std::uint8_t> pixels;
  for (std::uint32_t x = 0; x < width; ++x) pixels.push_back(steps_of(point_of(x, y)));
  return pixels;
}

// An 8-bit grey PNG, row by row.
class Picture {
public:
  explicit Picture(const std::string& path) : file_(std::fopen(path.c_str(), "wb")) {
    if (file_ == nullptr) throw std::runtime_error("cannot write " + path);
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail, nullptr);
    info_ = png_create_info_struct(png_);
    png_init_io(png_, file_);
    png_set_IHDR(png_, info_, width, height, 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
  }
  ~Picture() {
    png_destroy_write_struct(&png_, &info_);
    std::fclose(file_);
  }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;

  void write(const std::vector<std::uint8_t>& pixels) { png_write_row(png_, pixels.data()); }
  void finish() { png_write_end(png_, info_); }

private:
  std::FILE* file_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;

  [[noreturn]] static void fail(png_structp, png_const_charp why) { throw std::runtime_error(why); }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw std::invalid_argument("usage: mandelbrot FILE.png [ADDRESS]");
  ventile::TaskRegistry tasks;
  const auto row_task = tasks.add("mandelbrot_row", row);
  ventile::Pool pool = argc > 2 ? ventile::Pool{tasks, argv[2]} : ventile::Pool{tasks};

  Picture picture{argv[1]};
  for (const std::vector<std::uint8_t>& pixels : pool.map(row_task, std::views::iota(0U, height)))
    picture.write(pixels);
  picture.finish();
  std::cout << argv[1] << ": " << width << " x " << height << '\n';
  return 0;
} catch (const std::exception& exception) {
  std::cerr << "mandelbrot: " << exception.what() << '\n';
  return 1;
}
