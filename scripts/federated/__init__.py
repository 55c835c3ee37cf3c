"""Federated training of the bundle with NVIDIA FLARE."""
