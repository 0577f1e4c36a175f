// Camera frames to network inputs and back, on the GPU: each kernel gives every thread its place; frames.cuh says what
// is done there. stargan_rt/cuda/frames.py launches them, and stargan_rt/faces/regions.py does the same on the CPU.

#include "frames.cuh"

// crop_*: one thread makes one pixel of the network's input.
//
//   pixels, chroma, pitch, height, width   the frame, see stargan::Frame
//   xx … y0                                pixels of the output to pixels of the frame, fixed-point
//   output                                 uint8 (output_height, output_width, 3), RGB, contiguous
#define CROP(layout)                                                                                                  \
  extern "C" __global__ void crop_##layout(unsigned char* pixels, unsigned char* chroma, long long pitch, int height, \
                                           int width, long long xx, long long xy, long long x0, long long yx,         \
                                           long long yy, long long y0, unsigned char* output, int output_height,      \
                                           int output_width) {                                                        \
    const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);                                            \
    const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);                                            \
    if (x >= output_width || y >= output_height) return;                                                              \
    stargan::crop_pixel<stargan::Layout::layout>({pixels, chroma, pitch, height, width}, {xx, xy, x0, yx, yy, y0},    \
                                                 output, output_width, x, y);                                         \
  }

// paste_*: one thread blends into 4x1 pixels of the frame (NV12: 4x2) and no other touches those.
//
//   left, top, right, bottom               the part of the frame to look at; left is a multiple of 4, top of 2
//   xx … y0                                pixels of the frame to pixels of the picture, fixed-point
//   picture                                uint8 (picture_height, picture_width, 3), RGB, contiguous
//   feather                                width of the soft edge, a fraction of the picture's side; at most a half
#define PASTE(layout, rows, place)                                                                                     \
  extern "C" __global__ void paste_##layout(                                                                           \
      unsigned char* pixels, unsigned char* chroma, long long pitch, int height, int width, long long xx,              \
      long long xy, long long x0, long long yx, long long yy, long long y0, const unsigned char* picture,              \
      int picture_height, int picture_width, float feather, int left, int top, int right, int bottom) {                \
    const int x = left + 4 * static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);                                  \
    const int y = top + rows * static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);                                \
    if (x >= right || y >= bottom) return;                                                                             \
    stargan::place({pixels, chroma, pitch, height, width}, {picture, picture_height, picture_width},                   \
                   {xx, xy, x0, yx, yy, y0}, feather, x, y);                                                           \
  }

CROP(rgb)
CROP(bgr)
CROP(nv12)
PASTE(rgb, 1, paste_row<stargan::Layout::rgb>)
PASTE(bgr, 1, paste_row<stargan::Layout::bgr>)
PASTE(nv12, 2, paste_blocks)
