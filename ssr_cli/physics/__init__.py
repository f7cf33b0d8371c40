"""Kernels, the observation operator, its adjoint and solvers."""
