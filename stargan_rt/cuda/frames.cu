// Camera frames to network inputs, on the GPU.

// Crops a box from a frame and resamples it bilinearly to the network's input.
//
// Pixel centres are at half coordinates and the border is replicated, as in OpenCV, so a box may
// reach over the frame's edge. One thread makes one output pixel.
//
//   frame    uint8, `frame_height` rows of `frame_width` pixels, 3 channels, `frame_pitch` bytes a row
//   box      x, y of the top left corner, width and height, in pixels of the frame
//   output   uint8 (height, width, 3), contiguous
//   swap     1 exchanges the first and third channel: BGR in, RGB out
extern "C" __global__ void crop_resize(const unsigned char* __restrict__ frame, int frame_height, int frame_width,
                                       long long frame_pitch, float box_x, float box_y, float box_width,
                                       float box_height, unsigned char* __restrict__ output, int height, int width,
                                       int swap) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;

  const float source_x = box_x + (x + 0.5f) * (box_width / width) - 0.5f;
  const float source_y = box_y + (y + 0.5f) * (box_height / height) - 0.5f;
  const float floor_x = floorf(source_x), floor_y = floorf(source_y);
  const float right = source_x - floor_x, down = source_y - floor_y;

  const int x0 = min(max(static_cast<int>(floor_x), 0), frame_width - 1);
  const int x1 = min(max(static_cast<int>(floor_x) + 1, 0), frame_width - 1);
  const int y0 = min(max(static_cast<int>(floor_y), 0), frame_height - 1);
  const int y1 = min(max(static_cast<int>(floor_y) + 1, 0), frame_height - 1);
  const unsigned char* above = frame + y0 * frame_pitch;
  const unsigned char* below = frame + y1 * frame_pitch;

  unsigned char* pixel = output + (static_cast<long long>(y) * width + x) * 3;
#pragma unroll
  for (int channel = 0; channel < 3; ++channel) {
    const float top = above[x0 * 3 + channel] * (1.0f - right) + above[x1 * 3 + channel] * right;
    const float bottom = below[x0 * 3 + channel] * (1.0f - right) + below[x1 * 3 + channel] * right;
    const float value = top * (1.0f - down) + bottom * down;
    pixel[swap ? 2 - channel : channel] = static_cast<unsigned char>(rintf(value));
  }
}
