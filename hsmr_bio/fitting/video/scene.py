"""Tilt and focal length of the camera from the straight edges of a built scene.

Walls, doors and floors have edges along three perpendicular directions, one of them vertical. With the right focal length and
tilt most edges point along one of the three. The best focal length, pitch and roll are searched on a grid and refined. If no
three directions explain the edges clearly better than others (woods, a bare wall), there is no result.

Source:
    Coughlan and Yuille 1999, Manhattan world, ICCV. Edges of random directions give a margin of at most 3 (simulated, 15 to 200
    edges), rooms and houses 8 to 26.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ...io.cameras import GUESS, GUESS_SHARE
from ...types import Camera, FloatArray
from ..core.problem import FLIP

_SIGMA_RAD = np.radians(1.5)
"""Standard deviation of the angle between a detected edge and its direction (curved lenses, coarse directions)."""
_OUTLIERS = 0.08
"""Likelihood of an edge along no direction, relative to an edge that fits exactly."""
_LEAST_EDGES = 8
"""Fewer edges give no result."""
_MOST_EDGES = 40.0
"""Edges beyond this number are not independent: the weights of all edges sum to at most this."""
_LONGEST_SHARE = 0.3
"""The weight of an edge grows with its length up to this share of the focal length."""
_FOCAL_SHARES = np.array([0.55, 0.62, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3])
"""Focal lengths of the grid, in longer sides of the image: wide phones to short telephoto lenses."""
_PITCHES_RAD = np.radians(np.arange(-30.0, 50.1, 3.0))
_ROLLS_RAD = np.radians(np.arange(-30.0, 30.1, 3.0))
_YAWS_RAD = np.radians(np.arange(0.0, 90.0, 4.0))
"""Tilts of the grid: of hand-held and fixed cameras, in steps of two standard deviations; three directions repeat at 90 deg."""
_APART_RAD = np.radians(8.0)
"""Tilts within this angle of the best one are its neighbours."""
_LEAST_MARGIN = 7.0
"""Least difference of the log likelihoods of the best tilt and of the best one that is not its neighbour; blocks of a badly
compressed video reach 6."""
_FOCAL_PRIOR = 0.25
"""Standard deviation of the logarithm of the focal lengths of cameras about the guess."""
_USED = 250
"""Number of longest edges that are used."""
_SIMPLEX = np.array([*np.radians([1.5, 1.5, 2.0]), 0.06])
"""Size of the first simplex of the refinement: half a step of the grid in pitch, roll, yaw and the logarithm of the focal
length."""
_REFINEMENT = {"maxiter": 150, "xatol": 1e-4}
"""Of Nelder and Mead's method: the tilt is known to 0.2 degrees at best."""


@dataclass(frozen=True)
class SceneAxes:
    """Camera tilt and focal length from the edges of the scene."""

    pitch_rad: float
    """Downward pitch of the camera."""
    roll_rad: float
    """Roll of the camera, clockwise as it looks."""
    focal_px: float
    """Most likely focal length; the camera's own if that is known."""
    margin: float
    """Difference of the log likelihoods to the best other tilt."""


def scene_axes(edges_px: FloatArray, camera: Camera) -> SceneAxes | None:
    """Estimate the tilt of the camera, and its focal length if that is only guessed, from straight edges.

    Args:
        edges_px: (S, 2, 2) both ends of each edge.
        camera: its focal length is kept unless its source is ``GUESS``.

    Returns:
        The most likely tilt, or None if there are too few edges or no clear maximum.

    Source:
        Log likelihood of a tilt: ``sum_i w_i ln((o + exp(-(d_i / s)^2 / 2)) / 2)``, where ``d_i`` is the sine of the smallest
        angle between edge i's plane through the camera and one of the three directions, s = ``_SIGMA_RAD``, o = ``_OUTLIERS``
        (Coughlan and Yuille 1999).
    """
    if len(edges_px) < _LEAST_EDGES:
        return None
    guessed = camera.source == GUESS
    focals = _FOCAL_SHARES / GUESS_SHARE * camera.focal_px if guessed else np.array([camera.focal_px])
    tables = [_Edges.of(edges_px, camera, focal).table() for focal in focals]
    scores = np.array([table.max() for table in tables]) - _focal_cost(focals, camera)
    best = int(scores.argmax())
    i, j = np.unravel_index(tables[best].argmax(), tables[best].shape)
    pitch, roll = _PITCHES_RAD[i], _ROLLS_RAD[j]
    apart = np.hypot(_PITCHES_RAD[:, None] - pitch, _ROLLS_RAD - roll) > _APART_RAD
    margin = float(tables[best].max() - tables[best][apart].max())
    if margin < _LEAST_MARGIN:
        return None
    return _refined(edges_px, camera, np.array([pitch, roll]), focals[best], margin, free_focal=guessed)


def _focal_cost(focal_px: FloatArray, camera: Camera) -> FloatArray:
    """Negative log prior of focal lengths about the camera's."""
    return np.asarray(0.5 * (np.log(focal_px / camera.focal_px) / _FOCAL_PRIOR) ** 2)


def _refined(
    edges_px: FloatArray, camera: Camera, tilt_rad: FloatArray, focal_px: float, margin: float, *, free_focal: bool
) -> SceneAxes:
    """Maximise the likelihood from the best node of the grid.

    Source:
        Nelder and Mead 1965, Comput J 7:308.
    """
    start = _Edges.of(edges_px, camera, focal_px)
    yaw = _YAWS_RAD[int(np.argmax([start.likelihood(tilt_rad[None], y)[0] for y in _YAWS_RAD]))]

    def focal_of(x: FloatArray) -> float:
        return focal_px * float(np.exp(x[3])) if free_focal else focal_px

    def cost(x: FloatArray) -> float:
        focal = focal_of(x)
        likelihood = _Edges.of(edges_px, camera, focal).likelihood(x[None, :2], x[2])[0]
        return float(_focal_cost(np.asarray(focal), camera) - likelihood)

    x0 = np.array([*tilt_rad, yaw, 0.0])
    simplex = x0 + np.concatenate([np.zeros((1, 4)), np.diag(_SIMPLEX)])
    found = minimize(cost, x0, method="Nelder-Mead", options={"initial_simplex": simplex, **_REFINEMENT}).x
    return SceneAxes(float(found[0]), float(found[1]), focal_of(found), margin)


@dataclass(frozen=True, eq=False)
class _Edges:
    """The planes through the camera's centre and the edges."""

    normals: FloatArray
    """(S, 3) unit, camera axes: an edge has direction d if n . d = 0."""
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
        """(N,) log likelihood of tilts (N, 2), pitch and roll, with the horizontal directions rotated by ``yaw_rad``."""
        return self._with_yaw(self._sines(tilts_rad), yaw_rad)

    def table(self) -> FloatArray:
        """(pitches, rolls) log likelihood at the nodes of the grid, each with its best yaw."""
        nodes = np.stack(np.meshgrid(_PITCHES_RAD, _ROLLS_RAD, indexing="ij"), axis=-1).reshape(-1, 2)
        sines = self._sines(nodes).astype(np.float32)  # half the time; margins are differences of several units
        best = np.max([self._with_yaw(sines, yaw) for yaw in _YAWS_RAD], axis=0)
        return np.asarray(best.reshape(len(_PITCHES_RAD), len(_ROLLS_RAD)))

    def _sines(self, tilts_rad: FloatArray) -> FloatArray:
        """(3, N, S) sine of the angle between each edge's plane and the level axes of each tilt."""
        vectors = np.stack([tilts_rad[:, 0], np.zeros(len(tilts_rad)), tilts_rad[:, 1]], axis=1)
        axes = FLIP.numpy() @ Rotation.from_rotvec(vectors).as_matrix()
        return np.asarray(np.einsum("nij,si->jns", axes, self.normals, optimize=True))

    def _with_yaw(self, sines: FloatArray | npt.NDArray[np.float32], yaw_rad: float) -> FloatArray:
        """(N,) log likelihood with the horizontal directions rotated about the vertical."""
        c, s = np.cos(yaw_rad), np.sin(yaw_rad)
        horizontal = np.minimum(np.abs(c * sines[0] + s * sines[2]), np.abs(c * sines[2] - s * sines[0]))
        nearest = np.minimum(horizontal, np.abs(sines[1]))
        return np.asarray(np.log((_OUTLIERS + np.exp(-0.5 * (nearest / _SIGMA_RAD) ** 2)) / 2) @ self.weights)
