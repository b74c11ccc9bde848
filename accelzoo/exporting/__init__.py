"""One file for each format that a network is written in, and what they share: the file, its check, its timing."""

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2", "litert": ".tflite", "executorch": ".pte"}
"""Name of a format → how its files' names end."""
