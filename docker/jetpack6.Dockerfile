# JetPack 6.2 (L4T 36.4 to 36.5, Orin): CUDA 12.6, TensorRT 10.3, Python 3.10.
#   docker build -t stargan-rt:r36.4.0 -f docker/jetpack6.Dockerfile .
#   docker run --rm -it --runtime nvidia stargan-rt:r36.4.0
# The tag follows jetson-containers; its image brings CUDA and TensorRT for Ubuntu 22.04.
ARG BASE_IMAGE=nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel
FROM ${BASE_IMAGE}

COPY . /opt/stargan-rt
RUN python3 -m pip install --no-cache-dir "/opt/stargan-rt[cuda12]" && stargan-rt --version
ENV PATH=/usr/src/tensorrt/bin:$PATH
CMD ["stargan-rt", "doctor"]
