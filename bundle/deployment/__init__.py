"""The network as one file that runs without this package: TorchScript, ONNX or PyTorch's exported program."""
