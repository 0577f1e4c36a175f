// The frame kernels as a library for the host: frames.cu itself, compiled by a host compiler and run thread by thread.

#include <cstddef>
#include <cstring>
#include <utility>

struct Index {
  unsigned x = 0, y = 0;
};
static Index blockIdx, blockDim, threadIdx;
#define __global__
#include "frames.cu"

namespace {

// Arguments come as addresses, as the driver takes them; each is read as the type that the kernel declares. The driver
// can't tell whether they are of that size; here it is checked.
template <typename... Types, std::size_t... Places>
void call(void (*kernel)(Types...), void** arguments, std::index_sequence<Places...>) {
  kernel(*static_cast<Types*>(arguments[Places])...);
}

// From the last thread to the first where `backwards`: the order of a GPU's threads is not to be relied upon.
template <typename... Types>
int every_thread(void (*kernel)(Types...), const unsigned* grid, const unsigned* block, void** arguments,
                 const std::size_t* sizes, std::size_t count, bool backwards) {
  const std::size_t expected[] = {sizeof(Types)...};
  if (count != sizeof...(Types) || std::memcmp(sizes, expected, sizeof expected) != 0) return 1;
  blockDim = {block[0], block[1]};
  const unsigned columns = grid[0] * block[0], threads = columns * grid[1] * block[1];
  for (unsigned i = 0; i < threads; ++i) {
    const unsigned thread = backwards ? threads - 1 - i : i, x = thread % columns, y = thread / columns;
    blockIdx = {x / block[0], y / block[1]};
    threadIdx = {x % block[0], y % block[1]};
    call(kernel, arguments, std::index_sequence_for<Types...>());
  }
  return 0;
}

}  // namespace

// 0: done; 1: arguments of other sizes than the kernel's; 2: no such kernel.
extern "C" int run(const char* name, const unsigned* grid, const unsigned* block, void** arguments,
                   const std::size_t* sizes, std::size_t count, int backwards) {
#define RUN(kernel) \
  if (std::strcmp(name, #kernel) == 0) return every_thread(kernel, grid, block, arguments, sizes, count, backwards);
  RUN(crop_rgb) RUN(crop_bgr) RUN(crop_nv12) RUN(paste_rgb) RUN(paste_bgr) RUN(paste_nv12)
#undef RUN
  return 2;
}
