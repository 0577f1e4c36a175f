#!/usr/bin/env bash
# Run in the container by jetson-containers, on a Jetson.
set -euo pipefail
stargan-rt doctor
stargan-rt build --onnx avatars --backend tensorrt --fp16 --output /tmp/avatars.engine
stargan-rt bench --engine /tmp/avatars.engine
