"""The terms of a fit: each a sum of squared residuals over their standard deviations.

Image evidence is robust (Geman-McClure): a landmark that is many standard deviations off loses its pull instead of
dragging the body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...types import FloatArray
from .arrow_system import ArrowSystem
from .problem import BETAS, FOCAL, OFFSETS, SHAPE, View

ROBUST = 3.0
"""Residual, in standard deviations, at which an observation has lost three quarters of its weight."""


def _robust(square: Tensor) -> tuple[Tensor, Tensor]:
    """Geman-McClure cost (half squares for small residuals) and weight of squared residuals."""
    share = 1 / (1 + square / ROBUST**2)
    return 0.5 * square * share, share * share


def _accumulate(system: ArrowSystem, by_q: Tensor, by_shared: Tensor | None, residual: Tensor, columns: list[int]) -> None:
    """Add residuals (T, M) with Jacobians (T, M, 49) and (T, M, len(columns)), all divided by their deviations."""
    transposed = by_q.transpose(1, 2)
    system.diagonal += (transposed @ by_q).numpy()
    system.gradient += (transposed @ residual[..., None])[..., 0].numpy()
    if by_shared is None or not columns:
        return
    system.border[:, :, columns] += (transposed @ by_shared).numpy()
    flat, rest = by_shared.reshape(-1, len(columns)), residual.reshape(-1)
    system.shared[np.ix_(columns, columns)] += (flat.T @ flat).numpy()
    system.shared_gradient[columns] += (flat.T @ rest).numpy()


_SHAPE_COLUMNS = list(range(SHAPE.start, SHAPE.stop))


@dataclass
class Reprojection:
    """Landmarks where the detector saw them in the image."""

    points: str
    target_px: Tensor
    """(T, L, 2); NaN where not seen."""
    sigma_px: Tensor
    """(T, L) standard deviation, infinite where not seen. It is held while the body moves: a deviation that grew with
    nearness would pull the body towards the camera."""
    center_px: tuple[float, float]

    def _residual(self, view: View) -> tuple[Tensor, Tensor]:
        camera = view.points(self.points) @ view.state.camera_rotation.T
        depth = camera[..., 2].clamp_min(0.1)
        image = view.state.focal_px * camera[..., :2] / depth[..., None] + torch.tensor(self.center_px, dtype=torch.float64)
        return torch.nan_to_num(image - self.target_px) / self.sigma_px[..., None], camera

    def cost(self, view: View) -> float:
        scaled, _ = self._residual(view)
        return float(_robust(scaled.square().sum(-1))[0].sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        scaled, camera = self._residual(view)
        root = _robust(scaled.square().sum(-1))[1].sqrt()
        by_q, by_shape = view.jacobians(self.points)
        depth = camera[..., 2].clamp_min(0.1)
        gain = root * view.state.focal_px / self.sigma_px
        rows = self._projection(view, camera, depth) * (gain / depth)[..., None, None]  # (T, L, 2, 3)
        frames = len(camera)
        shared, columns = (None, []) if by_shape is None else (rows @ by_shape, _SHAPE_COLUMNS)
        if view.focal_moves:
            by_focal = (camera[..., :2] / depth[..., None] * gain[..., None])[..., None]
            shared, columns = by_focal if shared is None else torch.cat([shared, by_focal], dim=-1), [*columns, FOCAL]
        residual = (scaled * root[..., None]).reshape(frames, -1)
        _accumulate(system, (rows @ by_q).flatten(1, 2), None if shared is None else shared.flatten(1, 2), residual, columns)

    @staticmethod
    def _projection(view: View, camera: Tensor, depth: Tensor) -> Tensor:
        """(T, L, 2, 3) derivative of the image point by the level point, times depth over focal length."""
        rotation = view.state.camera_rotation
        slope = camera[..., :2] / depth[..., None]
        return rotation[:2] - slope[..., None] * rotation[2]


@dataclass
class Depth:
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

    @cached_property
    def _apart(self) -> Tensor:
        """(D, D) turns residuals of this correlation into independent ones."""
        apart: Tensor = torch.linalg.inv(torch.linalg.cholesky(self.correlation))
        return apart

    def _residual(self, view: View) -> tuple[Tensor, Tensor]:
        along = self.ray @ view.state.camera_rotation  # level axes
        depth = (view.points(self.points) * along[:, None]).sum(-1)
        slant = depth[:, self.pairs[:, 0]] - depth[:, self.pairs[:, 1]]
        return torch.nan_to_num((slant - self.target_m) / (self.sigma_m * self.caution)) @ self._apart.T, along

    def cost(self, view: View) -> float:
        return float(_robust(self._residual(view)[0].square())[0].sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        residual, along = self._residual(view)
        root = _robust(residual.square())[1].sqrt()
        by_q, by_shape = view.jacobians(self.points)

        def depths(jacobian: Tensor) -> Tensor:
            rows = torch.einsum("ti,tlin->tln", along, jacobian)
            change = (rows[:, self.pairs[:, 0]] - rows[:, self.pairs[:, 1]]) / (self.sigma_m * self.caution)[..., None]
            return (self._apart @ change) * root[..., None]

        shape = None if by_shape is None else depths(by_shape)
        _accumulate(system, depths(by_q), shape, residual * root, _SHAPE_COLUMNS)


@dataclass
class Positions:
    """Points in space, relative to the middle of two of them or absolute, the same deviation along every axis."""

    points: str
    target_m: Tensor
    """(T, P, 3) level axes; NaN where unknown."""
    sigma_m: Tensor
    """(T, P)."""
    root: tuple[int, int] | None
    robust: bool = True
    """False for a first guess that is so far off that points which count would be given up as outliers."""

    def _weights(self, square: Tensor) -> tuple[Tensor, Tensor]:
        return _robust(square) if self.robust else (0.5 * square, torch.ones_like(square))

    def _relative(self, values: Tensor) -> Tensor:
        return values if self.root is None else values - values[:, list(self.root)].mean(dim=1, keepdim=True)

    def _residual(self, view: View) -> Tensor:
        miss = self._relative(view.points(self.points)) - self.target_m
        return torch.nan_to_num(miss / self.sigma_m[..., None])

    def cost(self, view: View) -> float:
        return float(self._weights(self._residual(view).square().sum(-1))[0].sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        residual = self._residual(view)
        root = self._weights(residual.square().sum(-1))[1].sqrt()
        known = torch.isfinite(self.target_m).all(dim=-1)
        gain = torch.where(known, root / self.sigma_m, torch.zeros_like(root))[..., None, None]
        by_q, by_shape = view.jacobians(self.points)
        rows = (self._relative(by_q) * gain).flatten(1, 2)
        shape = None if by_shape is None else (self._relative(by_shape) * gain).flatten(1, 2)
        _accumulate(system, rows, shape, (residual * root[..., None]).flatten(1), _SHAPE_COLUMNS)


@dataclass
class PosePrior:
    """Each unknown near a value: of the population, of a start, or of another estimate."""

    mean: Tensor
    """(49,) or (T, 49)."""
    sigma: Tensor
    """(49,) or (T, 49); infinite where nothing is known."""
    robust: Tensor | None = None
    """(49,) bool: unknowns whose pull fades with the distance (hinges: straight unless they are clearly bent)."""

    def _weights(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled residuals, half costs and weights (T, 49)."""
        scaled = (view.state.q - self.mean) / self.sigma
        square = scaled.square()
        if self.robust is None:
            return scaled, 0.5 * square, torch.ones_like(square)
        cost, weight = _robust(square)
        plain = ~self.robust
        return scaled, torch.where(plain, 0.5 * square, cost), torch.where(plain, torch.ones_like(weight), weight)

    def cost(self, view: View) -> float:
        return float(self._weights(view)[1].sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        scaled, _, weight = self._weights(view)
        system.gradient += (scaled * weight / self.sigma).numpy()
        _add_diagonal(system.diagonal, (weight / self.sigma.square()).numpy())


@dataclass
class Rhythm:
    """Combinations of angles near a value: how joints share a movement."""

    rows: Tensor
    """(R, 49) one combination a row."""
    mean: Tensor
    """(R,)."""
    sigma: Tensor
    """(R,)."""

    def _residual(self, view: View) -> Tensor:
        return (view.state.q @ self.rows.T - self.mean) / self.sigma

    def cost(self, view: View) -> float:
        return float(0.5 * self._residual(view).square().sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        scaled = self.rows / self.sigma[:, None]
        system.gradient += (self._residual(view) @ scaled).numpy()
        system.diagonal += (scaled.T @ scaled).numpy()


def _add_diagonal(blocks: FloatArray, values: FloatArray) -> None:
    n = blocks.shape[-1]
    blocks.reshape(len(blocks), -1)[:, :: n + 1] += values


@dataclass
class Limits:
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

    def _residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """Residuals of both walls; beyond three units the exponential goes on as a straight line."""
        below = ((self.low - view.state.q) / self.scale_rad).clamp_max(60.0)
        above = ((view.state.q - self.high) / self.scale_rad).clamp_max(60.0)
        return below, above

    def _wall(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steep = x.clamp_max(3.0).exp()
        return self.weight * (steep + (x - 3).clamp_min(0) * steep), self.weight * steep

    def cost(self, view: View) -> float:
        return float(sum(0.5 * self._wall(x)[0].square().sum() for x in self._residuals(view)))

    def add(self, view: View, system: ArrowSystem) -> None:
        gradient, curvature = torch.zeros_like(view.state.q), torch.zeros_like(view.state.q)
        for x, sign in zip(self._residuals(view), (-1.0, 1.0), strict=True):
            value, slope = self._wall(x)
            slope = sign * slope / self.scale_rad
            gradient += slope * value
            curvature += slope * slope
        system.gradient += gradient.numpy()
        _add_diagonal(system.diagonal, curvature.numpy())


@dataclass
class Smoothness:
    """Small accelerations of every unknown; frames may be unevenly spaced, gaps longer than ``gap_s`` are not bridged."""

    time_s: FloatArray
    sigma: FloatArray
    """(49,) standard deviation of the acceleration, per s^2, for each frame. The detector's errors are as correlated from
    frame to frame as the motion, so one frame is one piece of evidence for both at any rate."""
    gap_s: float = 1.0

    def _stencil(self) -> tuple[FloatArray, FloatArray]:
        """(T-2, 3) weights of the three frames for the acceleration, and (T-2,) whether no gap lies between them."""
        before, after = np.diff(self.time_s)[:-1], np.diff(self.time_s)[1:]
        span = (before + after) / 2
        weights = np.stack([1 / before, -1 / before - 1 / after, 1 / after], axis=1) / span[:, None]
        bridged = (before < self.gap_s) & (after < self.gap_s)
        return weights, np.asarray(bridged, dtype=np.float64)

    def _residual(self, view: View) -> tuple[FloatArray, FloatArray]:
        weights, evidence = self._stencil()
        q = view.state.q.numpy()
        scaled = weights * evidence[:, None]
        acceleration = scaled[:, :1] * q[:-2] + scaled[:, 1:2] * q[1:-1] + scaled[:, 2:] * q[2:]
        return acceleration / self.sigma, scaled

    def cost(self, view: View) -> float:
        if len(self.time_s) < 3:
            return 0.0
        return float(0.5 * np.square(self._residual(view)[0]).sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        if len(self.time_s) < 3:
            return
        residual, weights = self._residual(view)
        rows = weights[:, :, None] / self.sigma  # (T-2, 3, 49)
        last = len(self.time_s) - 2
        for i in range(3):
            system.gradient[i : i + last] += rows[:, i] * residual
            _add_diagonal(system.diagonal[i : i + last], rows[:, i] ** 2)
        for i in range(2):
            _add_diagonal(system.below[i : i + last], rows[:, i] * rows[:, i + 1])
        system.second += rows[:, 0] * rows[:, 2]


@dataclass
class SharedPrior:
    """Betas near the population, landmarks near their mean places, the focal length near what is known of it."""

    sigma_beta: float
    sigma_offset_m: float
    focal_px: float
    focal_sigma: float
    """Standard deviation of the logarithm of the focal length."""

    def _residuals(self, view: View) -> tuple[list[int], FloatArray, FloatArray]:
        state = view.state
        values = np.concatenate([state.betas, state.offsets_m.ravel(), [np.log(state.focal_px / self.focal_px)]])
        offsets = [self.sigma_offset_m] * (OFFSETS.stop - OFFSETS.start)
        sigma = np.array([self.sigma_beta] * 10 + offsets + [self.focal_sigma])
        return [*_SHAPE_COLUMNS, FOCAL], values, sigma

    def cost(self, view: View) -> float:
        _, values, sigma = self._residuals(view)
        return float(0.5 * np.square(values / sigma).sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        columns, values, sigma = self._residuals(view)
        system.shared_gradient[columns] += values / sigma**2
        system.shared[columns, columns] += 1 / sigma**2


@dataclass
class Stature:
    """A known body height: betas must give it."""

    height_m: float
    at_zero_m: float
    by_betas_m: FloatArray
    """(10,) change of stature per unit of each beta; stature is taken as linear in betas."""
    sigma_m: float = 0.01

    def _residual(self, view: View) -> float:
        return float(self.at_zero_m + self.by_betas_m @ view.state.betas - self.height_m) / self.sigma_m

    def cost(self, view: View) -> float:
        return 0.5 * self._residual(view) ** 2

    def add(self, view: View, system: ArrowSystem) -> None:
        row = self.by_betas_m / self.sigma_m
        system.shared[BETAS, BETAS] += np.outer(row, row)
        system.shared_gradient[BETAS] += row * self._residual(view)


@dataclass
class Contacts:
    """Sole points that stand do not move from one frame to the next."""

    points: str
    time_s: FloatArray
    probability: Tensor
    """(T, P) that the point stands."""
    sigma_m_s: float

    def _residual(self, view: View) -> tuple[Tensor, Tensor]:
        points = view.points(self.points)
        step = torch.as_tensor(np.diff(self.time_s))
        standing = torch.minimum(self.probability[1:], self.probability[:-1])
        gain = standing.sqrt() / (self.sigma_m_s * step[:, None])
        return (points[1:] - points[:-1]) * gain[..., None], gain

    def cost(self, view: View) -> float:
        return float(0.5 * self._residual(view)[0].square().sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        residual, gain = self._residual(view)
        by_q, _ = view.jacobians(self.points)
        frames = len(by_q)
        before = (by_q[:-1] * gain[..., None, None]).reshape(frames - 1, -1, by_q.shape[-1])
        after = (by_q[1:] * gain[..., None, None]).reshape(frames - 1, -1, by_q.shape[-1])
        rest = residual.reshape(frames - 1, -1, 1)
        system.diagonal[1:] += (after.transpose(1, 2) @ after).numpy()
        system.diagonal[:-1] += (before.transpose(1, 2) @ before).numpy()
        system.below -= (after.transpose(1, 2) @ before).numpy()
        system.gradient[1:] += (after.transpose(1, 2) @ rest)[..., 0].numpy()
        system.gradient[:-1] -= (before.transpose(1, 2) @ rest)[..., 0].numpy()


@dataclass
class Floor:
    """Standing sole points lie on the floor, and none lies under it."""

    points: str
    probability: Tensor
    """(T, P)."""
    sigma_m: float
    under_sigma_m: float

    def _residual(self, view: View) -> tuple[Tensor, Tensor]:
        height = view.points(self.points)[..., 1] - view.state.floor_m
        gain = self.probability.sqrt() / self.sigma_m
        under = (height < 0) & (gain < 1 / self.under_sigma_m)
        gain = torch.where(under, torch.full_like(gain, 1 / self.under_sigma_m), gain)
        return height * gain, gain

    def cost(self, view: View) -> float:
        return float(0.5 * self._residual(view)[0].square().sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        residual, gain = self._residual(view)
        by_q, by_shape = view.jacobians(self.points)
        shape = None if by_shape is None else by_shape[:, :, 1] * gain[..., None]
        _accumulate(system, by_q[:, :, 1] * gain[..., None], shape, residual, _SHAPE_COLUMNS)


@dataclass
class Balance:
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

    def _residual(self, view: View) -> Tensor:
        mass = torch.einsum("p,tpi->ti", self.mass_share, view.points(self.masses))
        support = torch.einsum("ts,tsi->ti", self.support, view.points(self.soles))
        return ((mass - support)[:, [0, 2]] - self.ahead_m) * self.gain[:, None]

    def cost(self, view: View) -> float:
        return float(0.5 * self._residual(view).square().sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        (mass_q, mass_s), (sole_q, sole_s) = view.jacobians(self.masses), view.jacobians(self.soles)

        def rows(mass: Tensor, sole: Tensor) -> Tensor:
            both = torch.einsum("p,tpin->tin", self.mass_share, mass) - torch.einsum("ts,tsin->tin", self.support, sole)
            return both[:, [0, 2]] * self.gain[:, None, None]

        shape = None if mass_s is None or sole_s is None else rows(mass_s, sole_s)
        _accumulate(system, rows(mass_q, sole_q), shape, self._residual(view), _SHAPE_COLUMNS)
