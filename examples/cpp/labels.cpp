// Prints the label vectors of a request, one a line; needs neither CUDA nor TensorRT.
//   labels g.engine.json "Blond_Hair, happy"
#include <cstdio>

#include "manifest.hpp"

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s MANIFEST.json LABELS\n", arguments[0]);
    return 2;
  }
  try {
    const stargan::Manifest manifest = stargan::read_manifest(arguments[1]);
    for (const auto& vector : stargan::label_vectors(manifest, arguments[2]))
      for (std::size_t i = 0; i < vector.size(); ++i)
        std::printf("%.9g%c", vector[i], i + 1 == vector.size() ? '\n' : ' ');
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
