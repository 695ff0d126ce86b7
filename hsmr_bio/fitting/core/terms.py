"""The terms of a fit: each a sum of squared residuals over their standard deviations.

Image evidence is robust (Geman-McClure): a landmark that is many standard deviations off loses its pull instead of
dragging the body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...types import FloatArray
from .arrow_system import Rows
from .problem import BETAS, FOCAL, OFFSETS, SHAPE, Term, View

LEAST_DEPTH_M = 0.1
"""A landmark is projected as if it were at least this far in front of the camera."""
_SHAPE_COLUMNS = list(range(SHAPE.start, SHAPE.stop))


def _point_rows(view: View, name: str, change: Callable[[Tensor], Tensor]) -> Rows:
    """Rows (T, G, D, n) of residuals that are linear in the Jacobians (T, P, 3, n) of a point set."""
    by_q, by_shape = view.jacobians(name)
    return Rows((change(by_q),), None if by_shape is None else change(by_shape), _SHAPE_COLUMNS)


@dataclass
class Reprojection(Term):
    """Landmarks where the detector saw them in the image."""

    points: str
    target_px: Tensor
    """(T, L, 2); NaN where not seen."""
    sigma_px: Tensor
    """(T, L) standard deviation, infinite where not seen. It is held while the body moves: a deviation that grew with
    nearness would pull the body towards the camera."""
    center_px: tuple[float, float]

    robust = True

    def _camera(self, view: View) -> tuple[Tensor, Tensor]:
        """(T, L, 3) landmarks in camera axes, and their depths (T, L, 1)."""
        camera = view.points(self.points) @ view.state.camera_rotation.T
        return camera, camera[..., 2:].clamp_min(LEAST_DEPTH_M)

    def residual(self, view: View) -> Tensor:
        camera, depth = self._camera(view)
        image = view.state.focal_px * camera[..., :2] / depth + torch.tensor(self.center_px, dtype=torch.float64)
        return image - self.target_px

    def sd(self, view: View) -> Tensor:
        return self.sigma_px

    def rows(self, view: View) -> Rows:
        camera, depth = self._camera(view)
        rotation, slope = view.state.camera_rotation, camera[..., :2] / depth
        by_point = (rotation[:2] - slope[..., None] * rotation[2]) * (view.state.focal_px / depth)[..., None]  # (T, L, 2, 3)
        rows = _point_rows(view, self.points, lambda jacobian: by_point @ jacobian)
        if not view.focal_moves:
            return rows
        by_focal = (view.state.focal_px * slope)[..., None]
        shape, columns = ([], []) if rows.shared is None else ([rows.shared], _SHAPE_COLUMNS)
        return replace(rows, shared=torch.cat([*shape, by_focal], dim=-1), columns=[*columns, FOCAL])


@dataclass
class Depth(Term):
    """How much farther one landmark is than another, along the viewing ray: each bone's slant towards the camera.

    Differences along the bones are taken, not distances from the hips: a detector that places the knee too near places
    the ankle too near as well.
    """

    points: str
    pairs: Tensor
    """(D, 2) landmarks (far end, near end)."""
    ray: Tensor
    """(T, 3) unit viewing ray of the person, camera axes."""
    target_m: Tensor
    """(T, D) depth of the first landmark behind the second; NaN where unknown."""
    sigma_m: Tensor
    """(T, D) standard deviation of the targets, infinite where unknown."""
    caution: Tensor
    """(D,) factor on the deviations: below one where nothing else shows a slant, above where something else does."""
    correlation: Tensor
    """(D, D) of the errors of one frame."""

    robust = True

    @cached_property
    def _apart(self) -> Tensor:
        """(D, D) turns residuals of this correlation into independent ones."""
        apart: Tensor = torch.linalg.inv(torch.linalg.cholesky(self.correlation))
        return apart

    def _slants(self, view: View, values: Tensor) -> Tensor:
        """(T, D, n) differences along the ray of values (T, L, 3, n) of the landmarks."""
        along = torch.einsum("ti,tlin->tln", self.ray @ view.state.camera_rotation, values)
        return along[:, self.pairs[:, 0]] - along[:, self.pairs[:, 1]]

    def _independent(self, values: Tensor) -> Tensor:
        """(T, D, 1, n) independent standard deviations from depths (T, D, n)."""
        scaled = torch.nan_to_num(values / (self.sigma_m * self.caution)[..., None])
        return (self._apart @ scaled)[:, :, None]

    def residual(self, view: View) -> Tensor:
        slant = self._slants(view, view.points(self.points)[..., None])
        return self._independent(slant - self.target_m[..., None])[..., 0]

    def rows(self, view: View) -> Rows:
        return _point_rows(view, self.points, lambda jacobian: self._independent(self._slants(view, jacobian)))


@dataclass
class Positions(Term):
    """Points in space, relative to the middle of two of them or absolute, the same deviation along every axis."""

    points: str
    target_m: Tensor
    """(T, P, 3) level axes; NaN where unknown."""
    sigma_m: Tensor
    """(T, P)."""
    root: tuple[int, int] | None
    robust: bool = True
    """False for a first guess that is so far off that points which count would be given up as outliers."""

    def _relative(self, values: Tensor) -> Tensor:
        return values if self.root is None else values - values[:, list(self.root)].mean(dim=1, keepdim=True)

    def residual(self, view: View) -> Tensor:
        return self._relative(view.points(self.points)) - self.target_m

    def sd(self, view: View) -> Tensor:
        return self.sigma_m

    def rows(self, view: View) -> Rows:
        return _point_rows(view, self.points, self._relative)


@dataclass
class PosePrior(Term):
    """Each unknown near a value: of the population, of a start, or of another estimate."""

    mean: Tensor
    """(49,) or (T, 49)."""
    sigma: Tensor
    """(49,) or (T, 49); infinite where nothing is known."""
    robust: Tensor | None = None
    """(49,) bool: unknowns whose pull fades with the distance (hinges: straight unless they are clearly bent)."""

    def residual(self, view: View) -> Tensor:
        return (view.state.q - self.mean)[..., None]

    def sd(self, view: View) -> Tensor:
        return self.sigma

    def rows(self, view: View) -> Rows:
        return Rows((torch.ones_like(view.state.q)[..., None],))


@dataclass
class Rhythm(Term):
    """Combinations of angles near a value: how joints share a movement."""

    combinations: Tensor
    """(R, 49) one combination a row."""
    mean: Tensor
    """(R,)."""
    sigma: Tensor
    """(R,)."""

    def residual(self, view: View) -> Tensor:
        return (view.state.q @ self.combinations.T - self.mean)[..., None]

    def sd(self, view: View) -> Tensor:
        return self.sigma

    def rows(self, view: View) -> Rows:
        return Rows((self.combinations[:, None].expand(len(view.state.q), -1, -1, -1),))


@dataclass
class Limits(Term):
    """Exponential barrier at the joint limits.

    Source:
        Xia et al. 2025, Eq. 3: sum of exp(2 (low - q)) + exp(2 (q - high)); here the angle is measured in units of
        ``scale_rad``, which makes the wall steep enough to hold against image evidence.
    """

    low: Tensor
    """(49,) radians, -inf where there is no limit."""
    high: Tensor
    scale_rad: float = 0.06
    weight: float = 0.6

    def _beyond(self, view: View) -> tuple[Tensor, Tensor]:
        """(T, 49, 2) how far the unknowns are below and above their limits, in ``scale_rad``, and how steep the walls are.

        Beyond three units the exponential goes on as a straight line.
        """
        q = view.state.q
        beyond = (torch.stack([self.low - q, q - self.high], dim=-1) / self.scale_rad).clamp_max(60.0)
        return beyond, beyond.clamp_max(3.0).exp()

    def residual(self, view: View) -> Tensor:
        beyond, steep = self._beyond(view)
        return self.weight * (steep + (beyond - 3).clamp_min(0) * steep)

    def rows(self, view: View) -> Rows:
        _, steep = self._beyond(view)
        return Rows((steep * (self.weight / self.scale_rad) * torch.tensor([-1.0, 1.0], dtype=torch.float64),))


@dataclass
class Smoothness(Term):
    """Small accelerations of every unknown; frames may be unevenly spaced, gaps longer than ``gap_s`` are not bridged."""

    time_s: FloatArray
    sigma: FloatArray
    """(49,) standard deviation of the acceleration, per s^2, for each frame. The detector's errors are as correlated from
    frame to frame as the motion, so one frame is one piece of evidence for both at any rate."""
    gap_s: float = 1.0

    @cached_property
    def _stencil(self) -> Tensor:
        """(T-2, 3, 1) weights of three frames for the acceleration, zero where a gap lies between them."""
        before, after = np.diff(self.time_s)[:-1], np.diff(self.time_s)[1:]
        weights = np.stack([1 / before, -1 / before - 1 / after, 1 / after], axis=1) / ((before + after) / 2)[:, None]
        bridged = (before < self.gap_s) & (after < self.gap_s)
        return torch.as_tensor(weights * bridged[:, None])[..., None]

    def residual(self, view: View) -> Tensor:
        w, q = self._stencil, view.state.q
        return (w[:, 0] * q[:-2] + w[:, 1] * q[1:-1] + w[:, 2] * q[2:])[..., None]

    def sd(self, view: View) -> Tensor:
        return torch.as_tensor(self.sigma)

    def rows(self, view: View) -> Rows:
        return Rows(tuple(w[..., None].expand(-1, len(self.sigma), 1) for w in self._stencil.unbind(1)))


@dataclass
class SharedPrior(Term):
    """Betas near the population, landmarks near their mean places, the focal length near what is known of it."""

    sigma_beta: float
    sigma_offset_m: float
    focal_px: float
    focal_sigma: float
    """Standard deviation of the logarithm of the focal length."""

    def residual(self, view: View) -> Tensor:
        state = view.state
        values = np.concatenate([state.betas, state.offsets_m.ravel(), [np.log(state.focal_px / self.focal_px)]])
        return torch.as_tensor(values)[None, :, None]

    def sd(self, view: View) -> Tensor:
        offsets = [self.sigma_offset_m] * (OFFSETS.stop - OFFSETS.start)
        return torch.tensor([self.sigma_beta] * 10 + offsets + [self.focal_sigma], dtype=torch.float64)

    def rows(self, view: View) -> Rows:
        columns = [*_SHAPE_COLUMNS, FOCAL]
        return Rows(shared=torch.eye(len(columns), dtype=torch.float64)[None, :, None], columns=columns)


@dataclass
class Stature(Term):
    """A known body height: betas must give it."""

    height_m: float
    at_zero_m: float
    by_betas_m: FloatArray
    """(10,) change of stature per unit of each beta; stature is taken as linear in betas."""
    sigma_m: float = 0.01

    def residual(self, view: View) -> Tensor:
        height = self.at_zero_m + self.by_betas_m @ view.state.betas
        return torch.tensor([[[height - self.height_m]]], dtype=torch.float64)

    def sd(self, view: View) -> Tensor:
        return torch.tensor([self.sigma_m], dtype=torch.float64)

    def rows(self, view: View) -> Rows:
        return Rows(shared=torch.as_tensor(self.by_betas_m)[None, None, None], columns=range(BETAS.start, BETAS.stop))


@dataclass
class Contacts(Term):
    """Sole points that stand do not move from one frame to the next."""

    points: str
    time_s: FloatArray
    probability: Tensor
    """(T, P) that the point stands."""
    sigma_m_s: float

    def residual(self, view: View) -> Tensor:
        points = view.points(self.points)
        return points[1:] - points[:-1]

    def sd(self, view: View) -> Tensor:
        standing = torch.minimum(self.probability[1:], self.probability[:-1])
        return self.sigma_m_s * torch.as_tensor(np.diff(self.time_s))[:, None] / standing.sqrt()

    def rows(self, view: View) -> Rows:
        by_q, _ = view.jacobians(self.points)
        return Rows((-by_q[:-1], by_q[1:]))


@dataclass
class Floor(Term):
    """Standing sole points lie on the floor, and none lies under it."""

    points: str
    probability: Tensor
    """(T, P)."""
    sigma_m: float
    under_sigma_m: float

    def residual(self, view: View) -> Tensor:
        return view.points(self.points)[..., 1:2] - view.state.floor_m

    def sd(self, view: View) -> Tensor:
        standing = self.sigma_m / self.probability.sqrt()
        return torch.where(self.residual(view)[..., 0] < 0, standing.clamp_max(self.under_sigma_m), standing)

    def rows(self, view: View) -> Rows:
        return _point_rows(view, self.points, lambda jacobian: jacobian[:, :, 1:2])


@dataclass
class Balance(Term):
    """The centre of mass is where what it stands on can carry it."""

    masses: str
    """Point set of the segments' centres of mass."""
    mass_share: Tensor
    """(P,) shares of body mass; sum 1."""
    soles: str
    support: Tensor
    """(T, S) weights of the sole points in the centre of support; rows sum to 1."""
    gain: Tensor
    """(T,) inverse standard deviation in 1/m, zero where the body does not stand."""
    ahead_m: Tensor
    """(T, 2) how far the centre of mass is from the centre of support, along x and z; zero for a body at rest."""

    def at(self, frames: slice) -> Balance:
        """Some of the frames."""
        return replace(self, support=self.support[frames], gain=self.gain[frames], ahead_m=self.ahead_m[frames])

    def _apart(self, masses: Tensor, soles: Tensor) -> Tensor:
        """(T, 1, 2, n) centre of mass (T, P, 3, n) off the centre of support (T, S, 3, n), along x and z."""
        mass = torch.einsum("p,tpin->tin", self.mass_share, masses)
        return (mass - torch.einsum("ts,tsin->tin", self.support, soles))[:, None, [0, 2]]

    def residual(self, view: View) -> Tensor:
        apart = self._apart(view.points(self.masses)[..., None], view.points(self.soles)[..., None])
        return apart[..., 0] - self.ahead_m[:, None]

    def sd(self, view: View) -> Tensor:
        return 1 / self.gain[:, None]

    def rows(self, view: View) -> Rows:
        (mass_q, mass_shape), (sole_q, sole_shape) = view.jacobians(self.masses), view.jacobians(self.soles)
        shape = None if mass_shape is None or sole_shape is None else self._apart(mass_shape, sole_shape)
        return Rows((self._apart(mass_q, sole_q),), shape, _SHAPE_COLUMNS)
