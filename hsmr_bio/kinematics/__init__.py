"""Batched joint trees with analytic Jacobians, rotations, and the damped least squares that every fit runs."""

from .tree import Joint, Tree, TreePose

__all__ = ["Joint", "Tree", "TreePose"]
