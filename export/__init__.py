"""Export: from a checkpoint to one ONNX file that proves itself against PyTorch."""
