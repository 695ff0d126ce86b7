"""Angular momentum of the whole body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import FloatArray
from ..types import OsimMotion
from .place import model_values

if TYPE_CHECKING:
    from ..osim.document import OsimDocument


def angular_momentum(motion: OsimMotion, document: OsimDocument) -> FloatArray:
    """Compute the angular momentum about the centre of mass from the places of the bodies.

    Args:
        motion: constant rate.
        document: the model, with masses and inertias.

    Returns:
        (T, 3) kg m^2/s in ground axes.
    """
    tree = document.tree()
    pose = tree.forward(model_values(motion, document))
    places, rotations = pose.positions_m.numpy(), pose.rotations.numpy()
    bodies = [document.bodies[name] for name in tree.bodies]
    masses = np.array([body.mass_kg for body in bodies])
    local = np.array([body.com_m for body in bodies])
    centres = places + np.einsum("tjab,jb->tja", rotations, local)
    speeds = np.gradient(centres, motion.time_s, axis=0)
    whole = np.einsum("j,tjx->tx", masses, centres) / masses.sum()
    whole_speed = np.gradient(whole, motion.time_s, axis=0)
    orbital = np.einsum("j,tjx->tx", masses, np.cross(centres - whole[:, None], speeds - whole_speed[:, None]))
    inertias = np.array([_matrix(body.inertia_kg_m2) for body in bodies])
    turning = _turning(rotations, motion.time_s)  # in ground axes
    in_ground = rotations @ inertias @ np.swapaxes(rotations, -1, -2)
    return np.asarray(orbital + np.einsum("tjab,tjb->ta", in_ground, turning))


def _matrix(inertia: tuple[float, ...]) -> FloatArray:
    xx, yy, zz, xy, xz, yz = inertia
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _turning(rotations: FloatArray, time_s: FloatArray) -> FloatArray:
    """(T, J, 3) angular velocity in ground axes, from the skew part of dR/dt R^T."""
    spin = np.gradient(rotations, time_s, axis=0) @ np.swapaxes(rotations, -1, -2)
    return (
        np.stack([spin[..., 2, 1] - spin[..., 1, 2], spin[..., 0, 2] - spin[..., 2, 0], spin[..., 1, 0] - spin[..., 0, 1]], -1)
        / 2
    )
