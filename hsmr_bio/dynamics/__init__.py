"""Inverse dynamics: external loads, ground reaction, joint moments, two engines."""

from __future__ import annotations

from .ground_reaction import GroundReaction, ground_reaction
from .inverse_dynamics import InverseDynamics, Residuals, inverse_dynamics
from .load_files import read_c3d_plates, read_loads
from .loads import Assignment, ExternalForce, ExternalLoads, loads_from_arrays
from .trajectory import Trajectory, trajectory

__all__ = [
    "Assignment",
    "ExternalForce",
    "ExternalLoads",
    "GroundReaction",
    "InverseDynamics",
    "Residuals",
    "Trajectory",
    "ground_reaction",
    "inverse_dynamics",
    "loads_from_arrays",
    "read_c3d_plates",
    "read_loads",
    "trajectory",
]
