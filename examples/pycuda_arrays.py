"""Translate an image in PyCUDA's memory into every domain, without passing the host in between.

python examples/pycuda_arrays.py g.engine face.png faces.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(engine_path: str, image_path: str, output_path: str) -> None:
    import pycuda.driver as cuda
    from pycuda import gpuarray

    from stargan_rt import Engine
    from stargan_rt.images import read_image, resize, write_image

    with Engine.load(engine_path) as engine:
        stream = cuda.Stream()
        image = gpuarray.to_gpu(resize(read_image(Path(image_path)), engine.size))
        results = [engine.translate(image, label, stream=stream) for label in engine.labels.names]
        stream.synchronize()
        write_image(Path(output_path), np.concatenate([image.get(), *(result.get() for result in results)], axis=1))
    print(f"{output_path}: {', '.join(engine.labels.names)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
