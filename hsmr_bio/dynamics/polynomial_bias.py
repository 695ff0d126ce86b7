"""Correction of OpenSim's inverse dynamics for joints that translate by a polynomial of several coordinates.

For a second derivative, OpenSim's ``MultivariatePolynomialFunction`` returns the first derivative by the first of the two
coordinates. Positions, speeds, static loads and inertia are right; the acceleration quadratic in speed is
``(sum_j f_j u_j) (sum_k u_k)`` instead of ``sum_jk f_jk u_j u_k``. All bodies that the joint carries lack the difference
of these accelerations, so the missing forces follow from their masses.

Source:
    OpenSim 4.0 to 4.6, ``MultivariatePolynomialFunction::calcDerivative`` and Simbody's FunctionBased mobilizer.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import FormatError, ModelError
from ..kinematics.functions import Function, Multivariate, Scaled
from ..osim.library import Model, as_document
from ..types import FloatArray
from .trajectory import Trajectory

_STEP_S = 1e-4
"""Step of the central difference for the rate of change of the polynomial's slopes."""
_CHUNK = 500
"""Frames computed together; limits the memory."""


class PolynomialBias:
    """Forces that OpenSim's result lacks, for one model.

    Args:
        model: any. One that our tree of joints cannot evaluate, or that has no such joint, lacks nothing.
    """

    def __init__(self, model: Model) -> None:
        self._slides: list[tuple[int, Tensor, Function]] = []
        try:
            document = as_document(model)
            if b"MultivariatePolynomialFunction" not in document.to_bytes():
                return
            self._tree = document.tree()
        except (FormatError, ModelError):
            return
        bodies = [document.bodies[name] for name in self._tree.bodies]
        self._mass_kg = torch.tensor([body.mass_kg for body in bodies], dtype=torch.float64)
        self._com_m = torch.tensor([body.com_m for body in bodies], dtype=torch.float64)
        for j, joint in enumerate(self._tree.joints):
            for axis, function in joint.translations:
                if _is_multivariate(function):
                    self._slides.append((j, torch.tensor(np.array(axis, dtype=np.float64)), function))

    def forces(self, motion: Trajectory) -> FloatArray | float:
        """(T, N) generalized forces to add to OpenSim's, in the order of the motion's coordinates; 0.0 if there are none."""
        if not self._slides:
            return 0.0
        order = [motion.coordinates.index(name) for name in self._tree.coordinates]
        result = np.empty_like(motion.q_si)
        for first in range(0, len(result), _CHUNK):
            frames = slice(first, first + _CHUNK)
            q, u = (torch.as_tensor(np.ascontiguousarray(v[frames][:, order])) for v in (motion.q_si, motion.u_si))
            result[frames, order] = self._missing(q, u).numpy()
        return result

    def _missing(self, q: Tensor, u: Tensor) -> Tensor:
        """(T, N) generalized forces in the tree's order."""
        tree = self._tree
        pose = tree.forward(q)
        lacking = torch.zeros(len(q), len(tree.bodies), 3, dtype=torch.float64)  # acceleration, (T, B, 3) m/s^2
        for j, axis, function in self._slides:
            difference = _true_bias(function, q, u) - _opensims_bias(function, q, u)
            parent = tree.joints[j].parent
            in_parent = tree.parent_rotation[j] @ axis
            direction = pose.rotations[:, parent] @ in_parent if parent >= 0 else in_parent.expand(len(q), 3)
            carried = tree.body_ancestors[:, j].to(torch.float64)
            lacking += carried[:, None] * (difference[:, None] * direction)[:, None]
        force = lacking * self._mass_kg[:, None]
        moment = torch.linalg.cross(pose.points(list(range(len(tree.bodies))), self._com_m), force)
        spin, speed = pose.twists()
        moved = tree.ancestors.T.to(torch.float64)  # (N, J)
        generalized: Tensor = (speed * (moved @ force) + spin * (moved @ moment)).sum(-1)
        return generalized


def _is_multivariate(function: Function) -> bool:
    inner = function.function if isinstance(function, Scaled) else function
    return isinstance(inner, Multivariate) and len(inner.inputs) > 1


def _rate(function: Function, q: Tensor, u: Tensor) -> Tensor:
    """Time derivative of the function."""
    partials = function.value_and_partials(q)[1]
    return torch.stack([p * u[:, n] for n, p in zip(function.inputs, partials, strict=True)]).sum(0)


def _true_bias(function: Function, q: Tensor, u: Tensor) -> Tensor:
    """Second time derivative of the function at constant speeds."""
    return (_rate(function, q + _STEP_S * u, u) - _rate(function, q - _STEP_S * u, u)) / (2 * _STEP_S)


def _opensims_bias(function: Function, q: Tensor, u: Tensor) -> Tensor:
    """The value that OpenSim uses for it."""
    return _rate(function, q, u) * u[:, list(function.inputs)].sum(dim=1)
