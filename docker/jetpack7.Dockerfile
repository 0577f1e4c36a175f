# JetPack 7.1 (L4T 38.4, Thor) and 7.2 (39.2, Orin and Thor): CUDA 13, TensorRT 10.13 or 10.16, Python 3.12.
#   docker build -t stargan-rt:r38.4 -f docker/jetpack7.Dockerfile .
#   docker run --rm -it --runtime nvidia stargan-rt:r38.4
# JetPack 7 boards run NVIDIA's containers for Arm servers. In R39, libnvdla_compiler.so may be missing: mount it, with
#   -v /usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so:/usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so
ARG BASE_IMAGE=nvcr.io/nvidia/tensorrt:25.10-py3
FROM ${BASE_IMAGE}

COPY . /opt/stargan-rt
# A virtual environment that sees the image's TensorRT: Python 3.12 of Ubuntu 24.04 refuses system-wide installs.
RUN python3 -m venv --system-site-packages /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir "/opt/stargan-rt[cuda13]" \
    && /opt/venv/bin/stargan-rt --version
ENV PATH=/opt/venv/bin:/usr/src/tensorrt/bin:$PATH
CMD ["stargan-rt", "doctor"]
