"""Export checkpoints to ONNX files whose results are compared with PyTorch's."""
