"""What OpenSim's inverse dynamics gets wrong where a joint slides along a polynomial of several coordinates.

Asked for a second derivative, OpenSim's ``MultivariatePolynomialFunction`` returns the first one by the first of the two
coordinates. Positions, speeds, static loads and inertia are right; the acceleration that goes with the square of the speed is
``(sum_j f_j u_j) (sum_k u_k)`` instead of ``sum_jk f_jk u_j u_k``. All that the joint carries is off by this acceleration, so
the missing forces follow from the masses.

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
"""Of the central difference that gives how fast the slopes change along a motion."""
_CHUNK = 500
"""Frames at a time; bounds the memory."""


class PolynomialBias:
    """The forces that OpenSim's result lacks, for one model.

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
                if _several(function):
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
            result[frames, order] = self._part(q, u).numpy()
        return result

    def _part(self, q: Tensor, u: Tensor) -> Tensor:
        tree = self._tree
        pose = tree.forward(q)
        wrong = torch.zeros(len(q), len(tree.bodies), 3, dtype=torch.float64)  # acceleration that each body lacks
        for j, axis, function in self._slides:
            lacking = _true_bias(function, q, u) - _opensims_bias(function, q, u)
            parent = tree.joints[j].parent
            direction = tree.parent_rotation[j] @ axis
            along = pose.rotations[:, parent] @ direction if parent >= 0 else direction.expand(len(q), 3)
            carried = tree.body_ancestors[:, j].to(torch.float64)
            wrong += carried[:, None] * (lacking[:, None] * along)[:, None]
        force = wrong * self._mass_kg[:, None]
        moment = torch.linalg.cross(pose.points(list(range(len(tree.bodies))), self._com_m), force)
        spin, speed = pose.twists()
        moved = tree.ancestors.T.to(torch.float64)  # (N, J)
        power: Tensor = (speed * (moved @ force) + spin * (moved @ moment)).sum(-1)
        return power


def _several(function: Function) -> bool:
    inner = function.function if isinstance(function, Scaled) else function
    return isinstance(inner, Multivariate) and len(inner.inputs) > 1


def _rate(function: Function, q: Tensor, u: Tensor) -> Tensor:
    partials = function.value_and_partials(q)[1]
    return torch.stack([p * u[:, n] for n, p in zip(function.inputs, partials, strict=True)]).sum(0)


def _true_bias(function: Function, q: Tensor, u: Tensor) -> Tensor:
    """Second derivative by time of the function, with the speeds kept."""
    return (_rate(function, q + _STEP_S * u, u) - _rate(function, q - _STEP_S * u, u)) / (2 * _STEP_S)


def _opensims_bias(function: Function, q: Tensor, u: Tensor) -> Tensor:
    return _rate(function, q, u) * u[:, list(function.inputs)].sum(dim=1)
