"""Batched joint trees with analytic Jacobians, rotations, and the least squares that every fit uses."""

from .tree import Joint, Tree, TreePose

__all__ = ["Joint", "Tree", "TreePose"]
