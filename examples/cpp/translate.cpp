// Translates one image with a TensorRT plan of `stargan-rt build`, and times it.
//   translate g.engine face.ppm "Blond_Hair, happy" out.ppm
// Images are binary PPM (P6) of the network's size: convert face.png -resize 128x128! face.ppm
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "manifest.hpp"

namespace {

struct Log : nvinfer1::ILogger {
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kWARNING) std::fprintf(stderr, "TensorRT: %s\n", message);
  }
};

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

void check(bool status, const char* what) {
  if (!status) throw std::runtime_error(std::string("TensorRT refused ") + what);
}

std::vector<unsigned char> read_ppm(const std::string& path, int height, int width) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int columns = 0, rows = 0, most = 0;
  file >> magic >> columns >> rows >> most;
  file.get();
  if (!file || magic != "P6" || most != 255) throw std::runtime_error(path + " is no binary PPM with 8 bits");
  if (columns != width || rows != height)
    throw std::runtime_error(path + " must be " + std::to_string(width) + "x" + std::to_string(height));
  std::vector<unsigned char> pixels(3ull * height * width);
  if (!file.read(reinterpret_cast<char*>(pixels.data()), pixels.size())) throw std::runtime_error(path + " is cut off");
  return pixels;
}

void write_ppm(const std::string& path, const unsigned char* pixels, int height, int width) {
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << width << ' ' << height << "\n255\n";
  file.write(reinterpret_cast<const char*>(pixels), 3ll * height * width);
  if (!file.flush()) throw std::runtime_error("can't write " + path);
}

void run(const std::string& plan, const std::string& input, const std::string& labels, const std::string& output) {
  const stargan::Manifest manifest = stargan::read_manifest(plan + ".json");
  const auto vectors = stargan::label_vectors(manifest, labels);
  const auto pixels = read_ppm(input, manifest.height, manifest.width);
  const std::string data = stargan::read_file(plan);

  Log log;
  std::unique_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(log));
  check(runtime != nullptr, "to start");
  std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime->deserializeCudaEngine(data.data(), data.size()));
  check(engine != nullptr, "the plan; build it on this machine, with this TensorRT");
  std::unique_ptr<nvinfer1::IExecutionContext> context(engine->createExecutionContext());
  check(context != nullptr, "an execution context");

  // Pinned memory that is mapped: on a Jetson the network works in it, elsewhere it is what copies are fastest from.
  int device = 0, integrated = 0;
  check(cudaGetDevice(&device), "no GPU");
  check(cudaDeviceGetAttribute(&integrated, cudaDevAttrIntegrated, device), "the GPU's properties");
  const std::size_t bytes[] = {pixels.size(), sizeof(float) * manifest.dim(), pixels.size()};
  const char* names[] = {"image", "label", "translated"};
  void *host[3], *on_device[3];
  for (int i = 0; i < 3; ++i) {
    check(cudaHostAlloc(&host[i], bytes[i], cudaHostAllocMapped), "pinned memory");
    if (integrated) check(cudaHostGetDevicePointer(&on_device[i], host[i], 0), "mapped memory");
    else check(cudaMalloc(&on_device[i], bytes[i]), "memory of the GPU");
    check(context->setTensorAddress(names[i], on_device[i]), names[i]);
  }
  check(context->setInputShape("image", nvinfer1::Dims4{1, manifest.height, manifest.width, 3}), "the image's shape");
  check(context->setInputShape("label", nvinfer1::Dims2{1, manifest.dim()}), "the label's shape");
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");

  auto* const image = static_cast<unsigned char*>(host[0]);
  auto* const translated = static_cast<unsigned char*>(host[2]);
  const auto translate = [&] {
    std::copy(pixels.begin(), pixels.end(), image);
    for (const auto& vector : vectors) {
      if (&vector != &vectors.front()) std::copy(translated, translated + pixels.size(), image);
      std::copy(vector.begin(), vector.end(), static_cast<float*>(host[1]));
      for (int i = 0; i < 2 && !integrated; ++i)
        check(cudaMemcpyAsync(on_device[i], host[i], bytes[i], cudaMemcpyHostToDevice, stream), "a copy");
      check(context->enqueueV3(stream), "the execution");
      if (!integrated) check(cudaMemcpyAsync(host[2], on_device[2], bytes[2], cudaMemcpyDeviceToHost, stream), "a copy");
      check(cudaStreamSynchronize(stream), "the execution");
    }
  };
  for (int i = 0; i < 20; ++i) translate();
  std::vector<double> times(200);
  for (double& ms : times) {
    const auto began = std::chrono::steady_clock::now();
    translate();
    ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  }
  std::sort(times.begin(), times.end());
  write_ppm(output, translated, manifest.height, manifest.width);
  std::printf("%s: p50 %.3f ms, p90 %.3f ms, p99 %.3f ms from array to array, without a CUDA graph\n", output.c_str(),
              times[100], times[180], times[198]);

  cudaStreamDestroy(stream);
  for (int i = 0; i < 3; ++i) {
    if (!integrated) cudaFree(on_device[i]);
    cudaFreeHost(host[i]);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::fprintf(stderr, "usage: %s PLAN IMAGE.ppm LABELS OUTPUT.ppm\n", arguments[0]);
    return 2;
  }
  try {
    run(arguments[1], arguments[2], arguments[3], arguments[4]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
