"""Batched joint trees with analytic Jacobians, rotations, and the least squares that every fit uses."""
