"""The GPU side: kernels, compiled by CMake into `frames.fatbin` where a CUDA compiler is found."""
