"""Scenes with known depth and kernels."""
