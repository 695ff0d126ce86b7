"""Gravity and focal length from the straight edges of a scene that people built.

Walls, doors and floors have edges along three directions at right angles, one of them vertical. Seen through the right focal
length and in the right axes, most edges point along one of the three. The focal length, pitch and roll under which they do so
best are found on a grid; where no three directions explain the edges clearly better than others (woods, a bare wall),
nothing is said.

Source:
    The assumption: Coughlan and Yuille 1999, "Manhattan world". Edges of random directions give a margin of at most 3
    (simulated, 15 to 200 edges), rooms and houses 8 to 26.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ...io.cameras import GUESS, GUESS_SHARE
from ...types import Camera, FloatArray
from ..core.problem import FLIP

_SIGMA_RAD = np.radians(1.5)
"""How well an edge and a guess of the directions agree: detected edges, straight lines through real lenses."""
_OUTLIERS = 0.08
"""Likelihood of an edge that belongs to no direction, relative to one that fits exactly."""
_MOST_EDGES = 40.0
"""Edges beyond this number repeat each other."""
_LONGEST_SHARE = 0.3
"""An edge counts by its length up to this share of the focal length."""
_FOCAL_SHARES = np.array([0.55, 0.62, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3])
"""Focal lengths that are tried, in longer sides of the picture: wide phones to short telephoto lenses."""
_PITCHES_RAD = np.radians(np.arange(-30.0, 50.1, 3.0))
_ROLLS_RAD = np.radians(np.arange(-30.0, 30.1, 3.0))
_YAWS_RAD = np.radians(np.arange(0.0, 90.0, 4.0))
_APART_RAD = np.radians(8.0)
_LEAST_MARGIN = 7.0
"""By how much the best tilt must be likelier (natural logarithm) than any that is not its neighbour; blocks of a badly
compressed video reach 6."""
_FOCAL_PRIOR = 0.25
"""Standard deviation of the logarithm of the focal lengths of cameras around the guess."""
_USED = 250


@dataclass(frozen=True)
class SceneAxes:
    """What the edges of the scene say."""

    pitch_rad: float
    """Downward pitch of the camera."""
    roll_rad: float
    """Roll of the camera, clockwise as it looks."""
    focal_px: float
    """Under which the edges agree best; the camera's own if that is known."""
    margin: float
    """Logarithm of the likelihood ratio to the best other tilt."""


def scene_axes(edges_px: FloatArray, camera: Camera) -> SceneAxes | None:
    """Find the tilt of the camera, and its focal length if that is only guessed, from straight edges.

    Args:
        edges_px: (S, 2, 2) both ends of each edge.
        camera: whose focal length is kept unless its source is ``GUESS``.

    Returns:
        What was found, or None if the edges do not tell.
    """
    if len(edges_px) < 8:
        return None
    guessed = camera.source == GUESS
    focals = _FOCAL_SHARES / GUESS_SHARE * camera.focal_px if guessed else np.array([camera.focal_px])
    tables = [_Edges.of(edges_px, camera, focal).table() for focal in focals]
    prior = -0.5 * (np.log(focals / camera.focal_px) / _FOCAL_PRIOR) ** 2
    scores = np.array([table.max() for table in tables]) + prior
    best = int(scores.argmax())
    i, j = np.unravel_index(tables[best].argmax(), tables[best].shape)
    pitch, roll = _PITCHES_RAD[i], _ROLLS_RAD[j]
    away = np.hypot(_PITCHES_RAD[:, None] - pitch, _ROLLS_RAD - roll) > _APART_RAD
    margin = float(tables[best].max() - tables[best][away].max())
    if margin < _LEAST_MARGIN:
        return None
    return _refined(edges_px, camera, np.array([pitch, roll]), focals[best], margin, free_focal=guessed)


def _refined(
    edges_px: FloatArray, camera: Camera, tilt_rad: FloatArray, focal_px: float, margin: float, *, free_focal: bool
) -> SceneAxes:
    """From the best knot of the grid to the top between the knots."""
    start = _Edges.of(edges_px, camera, focal_px)
    yaw = _YAWS_RAD[int(np.argmax([start.likelihood(tilt_rad[None], y)[0] for y in _YAWS_RAD]))]

    def cost(x: FloatArray) -> float:
        focal = focal_px * float(np.exp(x[3])) if free_focal else focal_px
        prior = 0.5 * (np.log(focal / camera.focal_px) / _FOCAL_PRIOR) ** 2
        return float(prior - _Edges.of(edges_px, camera, focal).likelihood(x[None, :2], x[2])[0])

    x0 = np.array([*tilt_rad, yaw, 0.0])
    simplex = x0 + np.concatenate([np.zeros((1, 4)), np.diag([*np.radians([1.5, 1.5, 2.0]), 0.06])])
    found = minimize(cost, x0, method="Nelder-Mead", options={"initial_simplex": simplex, "maxiter": 150, "xatol": 1e-4}).x
    focal = focal_px * float(np.exp(found[3])) if free_focal else focal_px
    return SceneAxes(float(found[0]), float(found[1]), focal, margin)


@dataclass(frozen=True, eq=False)
class _Edges:
    """The planes through the camera that hold the edges."""

    normals: FloatArray
    """(S, 3) unit, camera axes: a direction d is that of the edge if n . d = 0."""
    weights: FloatArray
    """(S,)."""

    @classmethod
    def of(cls, edges_px: FloatArray, camera: Camera, focal_px: float) -> _Edges:
        length = np.linalg.norm(edges_px[:, 1] - edges_px[:, 0], axis=1)
        longest = np.argsort(-length)[:_USED]
        slopes = (edges_px[longest] - camera.center_px) / focal_px
        ends = np.concatenate([slopes, np.ones((*slopes.shape[:2], 1))], axis=2)
        normals = np.cross(ends[:, 0], ends[:, 1])
        weights = np.minimum(length[longest] / focal_px, _LONGEST_SHARE)
        weights *= min(len(longest), _MOST_EDGES) / weights.sum()
        return cls(normals / np.linalg.norm(normals, axis=1, keepdims=True), weights)

    def likelihood(self, tilts_rad: FloatArray, yaw_rad: float) -> FloatArray:
        """(N,) logarithm of the likelihood of N tilts (pitch, roll) with the other two directions turned by ``yaw_rad``."""
        return self._with_yaw(self._along(tilts_rad), yaw_rad)

    def table(self) -> FloatArray:
        """(pitches, rolls) the same for the knots of the grid, each with its best yaw."""
        knots = np.stack(np.meshgrid(_PITCHES_RAD, _ROLLS_RAD, indexing="ij"), axis=-1).reshape(-1, 2)
        along = self._along(knots).astype(np.float32)  # half the time; margins are differences of several units
        best = np.max([self._with_yaw(along, yaw) for yaw in _YAWS_RAD], axis=0)
        return np.asarray(best.reshape(len(_PITCHES_RAD), len(_ROLLS_RAD)))

    def _along(self, tilts_rad: FloatArray) -> FloatArray:
        """(3, N, S) sine of the angle between each edge's plane and the level axes of each tilt."""
        vectors = np.stack([tilts_rad[:, 0], np.zeros(len(tilts_rad)), tilts_rad[:, 1]], axis=1)
        axes = FLIP.numpy() @ Rotation.from_rotvec(vectors).as_matrix()
        return np.asarray(np.einsum("nij,si->jns", axes, self.normals, optimize=True))

    def _with_yaw(self, along: npt.NDArray[Any], yaw_rad: float) -> FloatArray:
        c, s = np.cos(yaw_rad), np.sin(yaw_rad)
        off = np.minimum(np.abs(c * along[0] + s * along[2]), np.abs(c * along[2] - s * along[0]))
        nearest = np.minimum(off, np.abs(along[1]))
        return np.asarray(np.log((_OUTLIERS + np.exp(-0.5 * (nearest / _SIGMA_RAD) ** 2)) / 2) @ self.weights)
