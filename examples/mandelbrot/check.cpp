// Decodes what mandelbrot wrote and compares it where the answer is known.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <png.h>

namespace {

struct Known {
  double real;
  double imaginary;
  int steps;  // 0: in the set.
  const char* what;
};

// Outside, the steps follow from z² + c by hand: at -2 + 1i the first z is beyond 2 already.
constexpr Known known[] = {
    {0, 0, 0, "the origin"},
    {-1, 0, 0, "the middle of the second bulb"},
    {-0.1, 0.74, 0, "the middle of the upper bulb"},
    {0.2, 0.1, 0, "within the cardioid"},
    {-1.99, 0.99, 1, "the upper left corner"},
    {0.99, 0.99, 2, "the upper right corner"},
    {0.6, 0, 4, "right of the cardioid"},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, argv[1]) == 0) {
    std::printf("%s: %s\n", argv[1], image.message);
    return 1;
  }
  image.format = PNG_FORMAT_GRAY;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) == 0) {
    std::printf("%s: %s\n", argv[1], image.message);
    return 1;
  }
  int wrong = 0;
  for (const Known& point : known) {
    const auto x = static_cast<std::size_t>((point.real + 2) / 3 * image.width);
    const auto y = static_cast<std::size_t>((1 - point.imaginary) / 2 * image.height);
    const int steps = pixels[y * image.width + x];
    if (steps == point.steps) continue;
    std::printf("%s has %d, expected %d\n", point.what, steps, point.steps);
    ++wrong;
  }
  std::printf("%u x %u, %d wrong\n", image.width, image.height, wrong);
  return wrong == 0 ? 0 : 1;
}
