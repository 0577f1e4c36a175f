// The arithmetic of the frame kernels: what one thread does, as plain functions.
//
// A host compiler takes this file too, so that the tests run the very same code without a GPU. stargan_rt/faces/regions.py
// is its twin in NumPy and OpenCV; what is changed here is changed there.
//
// Coordinates name pixel centres by whole numbers. They are fixed-point, 32 bits of fraction in 64, because a float
// loses a visible part of a pixel some thousand pixels from its origin: so they are right everywhere in a frame, equal
// on CPU and GPU, and cheap where double precision is not.
#pragma once

#ifdef __CUDACC_RTC__  // NVRTC has the functions built in, but no headers
using uint32_t = unsigned int;
using uintptr_t = unsigned long long;
#else
#include <cmath>
#include <cstdint>
#endif

#ifdef __CUDACC__
#define STARGAN_BOTH __host__ __device__ __forceinline__
#else
#define STARGAN_BOTH inline
#endif

namespace stargan {

enum class Layout { rgb, bgr, nv12 };

struct Colour {
  float r, g, b;
};

// A frame: `height` rows of `width` pixels, `pitch` bytes from one row to the next. NV12 has the luma in `pixels` and
// U and V of each 2x2 pixels, interleaved, in `chroma`, with the same pitch.
struct Frame {
  unsigned char* pixels;
  unsigned char* chroma;
  long long pitch;
  int height, width;
};

// A picture, the network's input or output: uint8 (height, width, 3), RGB, contiguous.
struct Picture {
  const unsigned char* pixels;
  int height, width;
};

struct Point {
  long long x, y;
};

struct Affine {
  long long xx, xy, x0, yx, yy, y0;
};

STARGAN_BOTH Point apply(const Affine& map, int x, int y) {
  return {map.xx * x + map.xy * y + map.x0, map.yx * x + map.yy * y + map.y0};
}

// Reads what no thread of the launch writes.
STARGAN_BOTH float read(const unsigned char* at) {
#ifdef __CUDA_ARCH__
  return __ldg(at);
#else
  return *at;
#endif
}

STARGAN_BOTH unsigned char to_byte(float value) { return static_cast<unsigned char>(rintf(value)); }

STARGAN_BOTH float mix(float a, float b, float share) { return a + (b - a) * share; }

STARGAN_BOTH Colour mix(const Colour& a, const Colour& b, float share) {
  return {mix(a.r, b.r, share), mix(a.g, b.g, share), mix(a.b, b.b, share)};
}

STARGAN_BOTH float clamp_level(float value) { return fminf(fmaxf(value, 0.0f), 255.0f); }

// BT.601, limited range, with the coefficients that OpenCV has.
STARGAN_BOTH Colour rgb_of_yuv(float y, float u, float v) {
  const float light = 1.164f * fmaxf(y - 16.0f, 0.0f);
  u -= 128.0f;
  v -= 128.0f;
  return {clamp_level(light + 1.596f * v), clamp_level(light - 0.391f * u - 0.813f * v),
          clamp_level(light + 2.018f * u)};
}

STARGAN_BOTH float luma(const Colour& c) { return 16.0f + 0.257f * c.r + 0.504f * c.g + 0.098f * c.b; }
STARGAN_BOTH float chroma_u(const Colour& c) { return 128.0f - 0.148f * c.r - 0.291f * c.g + 0.439f * c.b; }
STARGAN_BOTH float chroma_v(const Colour& c) { return 128.0f + 0.439f * c.r - 0.368f * c.g - 0.071f * c.b; }

// The colour of one pixel of a frame.
template <Layout layout>
STARGAN_BOTH Colour colour_at(const Frame& frame, int x, int y) {
  if constexpr (layout == Layout::nv12) {
    const unsigned char* pair = frame.chroma + (y >> 1) * frame.pitch + (x & ~1);
    return rgb_of_yuv(read(frame.pixels + y * frame.pitch + x), read(pair), read(pair + 1));
  } else {
    const unsigned char* at = frame.pixels + y * frame.pitch + 3LL * x;
    constexpr bool rgb = layout == Layout::rgb;
    return {read(at + (rgb ? 0 : 2)), read(at + 1), read(at + (rgb ? 2 : 0))};
  }
}

// Two neighbours on one axis and the second one's share. Beyond the edge the border is replicated.
struct Taps {
  int low, high;
  float share;
};

STARGAN_BOTH Taps taps(long long position, int length) {
  const long long last = (length - 1LL) << 32;
  position = position < 0 ? 0 : position > last ? last : position;
  const int low = static_cast<int>(position >> 32);
  return {low, low < length - 1 ? low + 1 : low, static_cast<float>(static_cast<uint32_t>(position)) * 0x1p-32f};
}

template <Layout layout>
STARGAN_BOTH Colour sample(const Frame& frame, const Point& point) {
  const Taps x = taps(point.x, frame.width), y = taps(point.y, frame.height);
  const Colour above = mix(colour_at<layout>(frame, x.low, y.low), colour_at<layout>(frame, x.high, y.low), x.share);
  const Colour below = mix(colour_at<layout>(frame, x.low, y.high), colour_at<layout>(frame, x.high, y.high), x.share);
  return mix(above, below, y.share);
}

STARGAN_BOTH Colour sample(const Picture& picture, const Point& point) {
  // Only read: `sample` has no other use for the pointer.
  const Frame frame{const_cast<unsigned char*>(picture.pixels), nullptr, 3LL * picture.width, picture.height,
                    picture.width};
  return sample<Layout::rgb>(frame, point);
}

// How far into the feather a position on one axis is: 0 inside it, 1 at the picture's edge.
STARGAN_BOTH float depth(long long position, int length, float feather) {
  // The divisions are the same for all pixels of a thread, and done once.
  const float from_centre = fabsf(static_cast<float>(position + (1LL << 31)) * (0x1p-32f / length) - 0.5f);
  return fmaxf(from_centre - (0.5f - feather), 0.0f) * (feather > 0.0f ? 1.0f / feather : 0.0f);
}

// The picture's share at a position of it: 1 in the middle, 0 from its edge outwards, smooth between. The two depths
// are the legs of a triangle, which rounds the corners: at a feather of a half the box becomes an ellipse.
STARGAN_BOTH float share_of(const Picture& picture, const Point& point, float feather) {
  const long long half = 1LL << 31;
  if (point.x < -half || point.x >= (static_cast<long long>(picture.width) << 32) - half) return 0.0f;
  if (point.y < -half || point.y >= (static_cast<long long>(picture.height) << 32) - half) return 0.0f;
  const float across = depth(point.x, picture.width, feather), down = depth(point.y, picture.height, feather);
  const float inside = 1.0f - fminf(sqrtf(across * across + down * down), 1.0f);
  return inside * inside * (3.0f - 2.0f * inside);
}

// Four neighbouring bytes. A word at a time, where the caller knows that `at` is a multiple of four; else as many as
// `count` says.
struct Four {
  unsigned char byte[4];
};

STARGAN_BOTH Four load(const unsigned char* at, bool word, int count) {
  Four four{};
  if (word) {
    const uint32_t value = *reinterpret_cast<const uint32_t*>(at);
    for (int i = 0; i < 4; ++i) four.byte[i] = static_cast<unsigned char>(value >> (8 * i));
  } else {
    for (int i = 0; i < 4; ++i)
      if (i < count) four.byte[i] = at[i];
  }
  return four;
}

STARGAN_BOTH void store(unsigned char* at, const Four& four, bool word, int count) {
  if (word) {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value |= static_cast<uint32_t>(four.byte[i]) << (8 * i);
    *reinterpret_cast<uint32_t*>(at) = value;
  } else {
    for (int i = 0; i < 4; ++i)
      if (i < count) at[i] = four.byte[i];
  }
}

STARGAN_BOTH bool aligned(const void* at) { return reinterpret_cast<uintptr_t>(at) % 4 == 0; }

STARGAN_BOTH void blend(unsigned char& level, float value, float share) { level = to_byte(mix(level, value, share)); }

// One pixel of the network's input.
template <Layout layout>
STARGAN_BOTH void crop_pixel(const Frame& frame, const Affine& to_frame, unsigned char* output, int width, int x,
                             int y) {
  const Colour colour = sample<layout>(frame, apply(to_frame, x, y));
  unsigned char* pixel = output + (static_cast<long long>(y) * width + x) * 3;
  pixel[0] = to_byte(colour.r);
  pixel[1] = to_byte(colour.g);
  pixel[2] = to_byte(colour.b);
}

// Blends into four pixels of a row of an RGB or BGR frame, from `x`, a multiple of four: twelve bytes, three words.
template <Layout layout>
STARGAN_BOTH void paste_row(const Frame& frame, const Picture& picture, const Affine& to_picture, float feather, int x,
                            int y) {
  float shares[4];
  bool touched = false;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    shares[i] = share_of(picture, apply(to_picture, x + i, y), feather);
    touched |= shares[i] > 0.0f;
  }
  if (!touched) return;

  unsigned char* at = frame.pixels + y * frame.pitch + 3LL * x;
  const int bytes = 3 * (frame.width - x < 4 ? frame.width - x : 4);
  const bool words = bytes == 12 && aligned(at);
  Four part[3];
#pragma unroll
  for (int i = 0; i < 3; ++i) part[i] = load(at + 4 * i, words, bytes - 4 * i);
  constexpr int red = layout == Layout::rgb ? 0 : 2;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (shares[i] == 0.0f) continue;
    const Colour colour = sample(picture, apply(to_picture, x + i, y));
    const int r = 3 * i + red, g = 3 * i + 1, b = 3 * i + 2 - red;
    blend(part[r / 4].byte[r % 4], colour.r, shares[i]);
    blend(part[g / 4].byte[g % 4], colour.g, shares[i]);
    blend(part[b / 4].byte[b % 4], colour.b, shares[i]);
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) store(at + 4 * i, part[i], words, bytes - 4 * i);
}

// Blends into 4x2 pixels of an NV12 frame, from `x`, a multiple of four, and an even `y`. The chroma of 2x2 pixels is
// theirs together: they take the mean of their shares of the picture, once, here.
STARGAN_BOTH void paste_blocks(const Frame& frame, const Picture& picture, const Affine& to_picture, float feather,
                               int x, int y) {
  float shares[2][4];
  bool touched = false;
#pragma unroll
  for (int j = 0; j < 2; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      shares[j][i] = share_of(picture, apply(to_picture, x + i, y + j), feather);
      touched |= shares[j][i] > 0.0f;
    }
  }
  if (!touched) return;

  unsigned char* at[3] = {frame.pixels + y * frame.pitch + x, frame.pixels + (y + 1) * frame.pitch + x,
                          frame.chroma + (y >> 1) * frame.pitch + x};
  const int bytes = frame.width - x < 4 ? frame.width - x : 4;
  const bool words = bytes == 4 && aligned(at[0]) && aligned(at[1]) && aligned(at[2]);
  Four part[3];  // two rows of luma and one of chroma
#pragma unroll
  for (int i = 0; i < 3; ++i) part[i] = load(at[i], words, bytes);
#pragma unroll
  for (int block = 0; block < 4; block += 2) {
    float share = 0.0f, u = 0.0f, v = 0.0f;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int i = block; i < block + 2; ++i) {
        if (shares[j][i] == 0.0f) continue;
        const Colour colour = sample(picture, apply(to_picture, x + i, y + j));
        blend(part[j].byte[i], luma(colour), shares[j][i]);
        share += shares[j][i];
        u += shares[j][i] * chroma_u(colour);
        v += shares[j][i] * chroma_v(colour);
      }
    }
    if (share == 0.0f) continue;
    part[2].byte[block] = to_byte(part[2].byte[block] * (1.0f - share / 4) + u / 4);
    part[2].byte[block + 1] = to_byte(part[2].byte[block + 1] * (1.0f - share / 4) + v / 4);
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) store(at[i], part[i], words, bytes);
}

}  // namespace stargan
