"""The terms of a fit: each a sum of squared residuals over their standard deviations.

Image evidence is robust (Geman-McClure): a landmark that is many standard deviations off loses its pull. Each docstring of
``residuals`` gives the formula; ``rows`` are its derivatives.
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

GAP_S = 1.0
"""Longer gaps between frames are not smoothed over."""
LEAST_DEPTH_M = 0.1
"""Smallest depth in front of the camera that a landmark is projected with."""
_STRAIGHT_FROM = 3.0
"""Excess over a joint limit, in units of the barrier, from which the exponential continues as a straight line: steps stay
finite."""
_MOST_EXCESS = 60.0
"""Larger excess counts as this much: the straight line must not overflow."""
_SHAPE_COLUMNS = list(range(SHAPE.start, SHAPE.stop))
_ONE = torch.ones(1, dtype=torch.float64)


def _point_rows(view: View, name: str, change: Callable[[Tensor], Tensor]) -> Rows:
    """Rows (T, G, D, n) of residuals that are linear in the Jacobians (T, P, 3, n) of a point set."""
    by_q, by_shape = view.jacobians(name)
    return Rows((change(by_q),), None if by_shape is None else change(by_shape), _SHAPE_COLUMNS)


def _mapped(by_point: Tensor, jacobian: Tensor) -> Tensor:
    """(T, G, D, n) products of (T, G or 1, D, 3) and (T, G, 3, n), axis by axis: torch is slow at many such small matrices."""
    product = by_point[..., 0, None] * jacobian[:, :, None, 0]
    for axis in (1, 2):
        product.addcmul_(by_point[..., axis, None], jacobian[:, :, None, axis])
    return product


@dataclass
class Reprojection(Term):
    """Landmarks in the image.

    Source:
        Pinhole camera: Hartley and Zisserman 2004, Multiple View Geometry, 2nd ed., sec. 6.1.
    """

    points: str
    target_px: Tensor
    """(T, L, 2); NaN where not seen."""
    sigma_px: Tensor
    """(T, L) standard deviation, infinite where not seen. It is held while the body moves: one that grew as the body came
    nearer would pull the body towards the camera."""
    center_px: tuple[float, float]

    robust = True

    def _camera(self, view: View) -> tuple[Tensor, Tensor]:
        """(T, L, 3) landmarks in camera axes, and their depths (T, L, 1)."""
        camera = view.points(self.points) @ view.state.camera_rotation.T
        return camera, camera[..., 2:].clamp_min(LEAST_DEPTH_M)

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``c + f (X, Y) / Z - target``, px, for a landmark (X, Y, Z) in camera axes."""
        camera, depth = self._camera(view)
        image = view.state.focal_px * camera[..., :2] / depth + torch.tensor(self.center_px, dtype=torch.float64)
        return image - self.target_px, self.sigma_px

    def rows(self, view: View) -> Rows:
        """``f / Z (R_xy - (X, Y) / Z R_z) dp`` by points p in level axes, ``f (X, Y) / Z`` by the logarithm of f."""
        camera, depth = self._camera(view)
        rotation, slope = view.state.camera_rotation, camera[..., :2] / depth
        by_point = (rotation[:2] - slope[..., None] * rotation[2]) * (view.state.focal_px / depth)[..., None]  # (T, L, 2, 3)
        rows = _point_rows(view, self.points, lambda jacobian: _mapped(by_point, jacobian))
        if not view.focal_moves:
            return rows
        by_focal = (view.state.focal_px * slope)[..., None]
        shape, columns = ([], []) if rows.shared is None else ([rows.shared], _SHAPE_COLUMNS)
        return replace(rows, shared=torch.cat([*shape, by_focal], dim=-1), columns=[*columns, FOCAL])


@dataclass
class Depth(Term):
    """Depth of one landmark behind another along the viewing ray, for each bone.

    Differences over bones are observed, not distances from the hips, because a detector that places the knee too near places
    the ankle too near as well. The errors of one frame are correlated; they are made independent by the inverse of the Cholesky
    factor of their correlation.

    Source:
        Generalised least squares: Aitken 1935, Proc R Soc Edinb 55:42.
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
    """(D,) factor on the standard deviations: below one where nothing else shows the depth, above where something else does."""
    correlation: Tensor
    """(D, D) correlation of the errors of one frame."""

    robust = True

    @cached_property
    def _whitening(self) -> Tensor:
        """(D, D) inverse Cholesky factor of the correlation."""
        whitening: Tensor = torch.linalg.inv(torch.linalg.cholesky(self.correlation))
        return whitening

    def _depths(self, view: View, values: Tensor) -> Tensor:
        """(T, D, n) differences along the ray of values (T, L, 3, n) of the landmarks."""
        along = _mapped((self.ray @ view.state.camera_rotation)[:, None, None], values)[:, :, 0]
        return along[:, self.pairs[:, 0]] - along[:, self.pairs[:, 1]]

    def _independent(self, values: Tensor) -> Tensor:
        """(T, D, 1, n) independent values in standard deviations, from depths (T, D, n)."""
        scaled = torch.nan_to_num(values / (self.sigma_m * self.caution)[..., None])
        return (self._whitening @ scaled)[:, :, None]

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``L^-1 [(ray . (p_far - p_near) - target) / (caution sigma)]`` with the correlation ``L L^T``; no unit."""
        depth = self._depths(view, view.points(self.points)[..., None])
        return self._independent(depth - self.target_m[..., None])[..., 0], _ONE

    def rows(self, view: View) -> Rows:
        """The same map of the points' derivatives."""
        return _point_rows(view, self.points, lambda jacobian: self._independent(self._depths(view, jacobian)))


@dataclass
class Positions(Term):
    """Points in space, absolute or relative to the middle of two of them, the same deviation along every axis."""

    points: str
    target_m: Tensor
    """(T, P, 3) level axes; NaN where unknown."""
    sigma_m: Tensor
    """(T, P)."""
    root: tuple[int, int] | None
    """The two points; None: absolute positions."""
    robust: bool = True
    """False for a first guess: far from the solution a robust term would give up correct points as outliers."""

    def _relative(self, values: Tensor) -> Tensor:
        return values if self.root is None else values - values[:, list(self.root)].mean(dim=1, keepdim=True)

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``p - p_root - target``, m."""
        return self._relative(view.points(self.points)) - self.target_m, self.sigma_m

    def rows(self, view: View) -> Rows:
        """``dp - dp_root``."""
        return _point_rows(view, self.points, self._relative)


@dataclass
class PosePrior(Term):
    """Normal prior of each unknown of a frame: of the population, about a start, or about another estimate."""

    mean: Tensor
    """(49,) or (T, 49)."""
    sigma: Tensor
    """(49,) or (T, 49); infinite where nothing is known."""
    robust: Tensor | None = None
    """(49,) bool: unknowns whose pull fades with the distance (hinges: straight unless they are clearly bent)."""

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``q - mean``, rad and m."""
        return (view.state.q - self.mean)[..., None], self.sigma

    def rows(self, view: View) -> Rows:
        """1 by the unknown itself."""
        return Rows((torch.ones_like(view.state.q)[..., None],))


@dataclass
class Rhythm(Term):
    """Normal prior of linear combinations of the unknowns: joints that share a movement."""

    combinations: Tensor
    """(R, 49) one combination per row."""
    mean: Tensor
    """(R,)."""
    sigma: Tensor
    """(R,)."""

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``A q - mean``, rad."""
        return (view.state.q @ self.combinations.T - self.mean)[..., None], self.sigma

    def rows(self, view: View) -> Rows:
        """A."""
        return Rows((self.combinations[:, None].expand(len(view.state.q), -1, -1, -1),))


@dataclass
class Limits(Term):
    """Exponential barrier at the joint limits.

    Source:
        Xia et al. 2025, Eq. 3: sum of exp(2 (low - q)) + exp(2 (q - high)). Here the angle is measured in units of
        ``scale_rad``, which makes the barrier steep enough against image evidence.
    """

    low: Tensor
    """(49,) radians, -inf where there is no limit."""
    high: Tensor
    """(49,) radians, inf where there is no limit."""
    scale_rad: float = 0.06
    """Excess at which the residual is e times as large as at the limit (our choice)."""
    weight: float = 0.6
    """Residual at the limit, in standard deviations (our choice)."""

    def _excess(self, view: View) -> tuple[Tensor, Tensor]:
        """(T, 49, 2) excess below and above the limits in units of ``scale_rad``, and the slope of the barrier there."""
        q = view.state.q
        excess = (torch.stack([self.low - q, q - self.high], dim=-1) / self.scale_rad).clamp_max(_MOST_EXCESS)
        return excess, excess.clamp_max(_STRAIGHT_FROM).exp()

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``weight exp(e)`` for the excess ``e = (low - q) / scale`` and ``(q - high) / scale``; linear beyond 3 units."""
        excess, slope = self._excess(view)
        return self.weight * (slope + (excess - _STRAIGHT_FROM).clamp_min(0) * slope), _ONE

    def rows(self, view: View) -> Rows:
        """``-+ weight / scale exp(e)``."""
        _, slope = self._excess(view)
        return Rows((slope * (self.weight / self.scale_rad) * torch.tensor([-1.0, 1.0], dtype=torch.float64),))


def second_derivative(time_s: FloatArray, gap_s: float = GAP_S) -> FloatArray:
    """Weights of three frames for the acceleration of the middle one.

    Args:
        time_s: (T,) increasing.
        gap_s: longer gaps are not bridged.

    Returns:
        (T-2, 3) per s^2, zero where a gap lies between the frames.

    Source:
        Second derivative on uneven points: Fornberg 1988, Math Comp 51:699.
    """
    before, after = np.diff(time_s)[:-1], np.diff(time_s)[1:]
    weights = np.stack([1 / before, -1 / before - 1 / after, 1 / after], axis=1) / ((before + after) / 2)[:, None]
    return np.asarray(weights * ((before < gap_s) & (after < gap_s))[:, None])


@dataclass
class Smoothness(Term):
    """Small accelerations of every unknown, over unevenly spaced frames; gaps longer than ``gap_s`` are not bridged."""

    time_s: FloatArray
    """(T,)."""
    sigma: FloatArray
    """(49,) standard deviation of the acceleration in each frame, rad/s^2 and m/s^2. The detector's errors are as correlated
    in time as the motion, so that one frame is one observation of both at any frame rate."""
    gap_s: float = GAP_S

    @cached_property
    def _stencil(self) -> Tensor:
        """(T-2, 3, 1) weights of three frames for the acceleration, zero where a gap lies between them."""
        return torch.as_tensor(second_derivative(self.time_s, self.gap_s))[..., None]

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``2 [(q3 - q2) / h2 - (q2 - q1) / h1] / (h1 + h2)`` for three frames at intervals h1 and h2, per s^2."""
        w, q = self._stencil, view.state.q
        return (w[:, 0] * q[:-2] + w[:, 1] * q[1:-1] + w[:, 2] * q[2:])[..., None], torch.as_tensor(self.sigma)

    def rows(self, view: View) -> Rows:
        """The weights of the three frames."""
        return Rows(tuple(w[..., None].expand(-1, view.state.q.shape[1], 1) for w in self._stencil.unbind(1)))


@dataclass
class SharedPrior(Term):
    """Normal prior of the shared unknowns: betas of the population, offsets about zero, a focal length about the given one."""

    sigma_beta: float
    sigma_offset_m: float
    focal_px: float
    focal_sigma: float
    """Standard deviation of the logarithm of the focal length."""

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``betas``, ``offsets`` and ``ln(f / f_given)``."""
        state = view.state
        values = np.concatenate([state.betas, state.offsets_m.ravel(), [np.log(state.focal_px / self.focal_px)]])
        sigma = [self.sigma_beta] * 10 + [self.sigma_offset_m] * (OFFSETS.stop - OFFSETS.start) + [self.focal_sigma]
        return torch.as_tensor(values)[None, :, None], torch.tensor(sigma, dtype=torch.float64)

    def rows(self, view: View) -> Rows:
        """1 by the unknown itself."""
        del view  # the residuals are linear
        columns = [*_SHAPE_COLUMNS, FOCAL]
        return Rows(shared=torch.eye(len(columns), dtype=torch.float64)[None, :, None], columns=columns)


@dataclass
class Stature(Term):
    """Body height, as a linear function of betas."""

    height_m: float
    at_zero_m: float
    """Stature of the mean body."""
    by_betas_m: FloatArray
    """(10,) change of stature per unit of each beta."""
    sigma_m: float = 0.01

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``stature(betas) - height``, m."""
        miss = self.at_zero_m + self.by_betas_m @ view.state.betas - self.height_m
        return torch.tensor([[[miss]]], dtype=torch.float64), torch.tensor([self.sigma_m], dtype=torch.float64)

    def rows(self, view: View) -> Rows:
        """The change of stature by betas."""
        del view  # the residual is linear
        return Rows(shared=torch.as_tensor(self.by_betas_m)[None, None, None], columns=range(BETAS.start, BETAS.stop))


@dataclass
class Contacts(Term):
    """Sole points in contact have zero velocity."""

    points: str
    time_s: FloatArray
    """(T,)."""
    probability: Tensor
    """(T, P) of contact."""
    sigma_m_s: float
    """Standard deviation of the velocity of a point in contact."""

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``p2 - p1`` of two frames, m; the deviation is ``sigma dt / sqrt(probability)``, the lower probability of the two."""
        points = view.points(self.points)
        standing = torch.minimum(self.probability[1:], self.probability[:-1])
        return points[1:] - points[:-1], self.sigma_m_s * torch.as_tensor(np.diff(self.time_s))[:, None] / standing.sqrt()

    def rows(self, view: View) -> Rows:
        """``-dp1`` and ``dp2``; the shape is held wherever contacts are used."""
        by_q, _ = view.jacobians(self.points)
        return Rows((-by_q[:-1], by_q[1:]))


@dataclass
class Floor(Term):
    """Sole points in contact lie on the floor, and no sole point lies below it."""

    points: str
    probability: Tensor
    """(T, P) of contact."""
    sigma_m: float
    """Standard deviation of the height of a point in contact."""
    under_sigma_m: float
    """Largest standard deviation below the floor."""

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``y - floor``, m; the deviation is ``sigma / sqrt(probability)``, below the floor at most ``under_sigma``."""
        height = view.points(self.points)[..., 1:2] - view.state.floor_m
        standing = self.sigma_m / self.probability.sqrt()
        return height, torch.where(height[..., 0] < 0, standing.clamp_max(self.under_sigma_m), standing)

    def rows(self, view: View) -> Rows:
        """``dy``."""
        return _point_rows(view, self.points, lambda jacobian: jacobian[:, :, 1:2])


@dataclass
class Balance(Term):
    """The centre of mass lies where the standing feet can carry it (``world.balance``)."""

    masses: str
    """Point set of the segments' centres of mass."""
    mass_share: Tensor
    """(P,) shares of body mass; sum 1."""
    soles: str
    """Point set of the soles."""
    support: Tensor
    """(T, S) weights of the sole points in the centre of support; rows sum to 1."""
    gain: Tensor
    """(T,) inverse standard deviation in 1/m, zero where no foot is on the floor."""
    ahead_m: Tensor
    """(T, 2) target of the centre of mass relative to the centre of support, along x and z; zero for a body at rest."""

    def at(self, frames: slice) -> Balance:
        """Some of the frames."""
        return replace(self, support=self.support[frames], gain=self.gain[frames], ahead_m=self.ahead_m[frames])

    def _from_support(self, masses: Tensor, soles: Tensor) -> Tensor:
        """(T, 1, 2, n) centre of mass of (T, P, 3, n) minus centre of support of (T, S, 3, n), along x and z."""
        mass = torch.einsum("p,tpin->tin", self.mass_share, masses)
        return (mass - torch.einsum("ts,tsin->tin", self.support, soles))[:, None, [0, 2]]

    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """``sum(m p) - sum(w s) - target`` along x and z, m."""
        offset = self._from_support(view.points(self.masses)[..., None], view.points(self.soles)[..., None])
        return offset[..., 0] - self.ahead_m[:, None], 1 / self.gain[:, None]

    def rows(self, view: View) -> Rows:
        """``sum(m dp) - sum(w ds)``."""
        (mass_q, mass_shape), (sole_q, sole_shape) = view.jacobians(self.masses), view.jacobians(self.soles)
        shape = None if mass_shape is None or sole_shape is None else self._from_support(mass_shape, sole_shape)
        return Rows((self._from_support(mass_q, sole_q),), shape, _SHAPE_COLUMNS)
