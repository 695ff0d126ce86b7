"""Fit of one body and its motion to joint centres in space, from several cameras or any other tool.

Joint centres do not determine the tilt of the pelvis against the lordosis of the back, nor the rotation of straight limbs about
their own axes. These follow from priors: the spine's joints share the flexion of the trunk; limits and smoothness hold the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from ...body.body import Body
from ...body.placing import SKEL_TO_WORLD, rotate_motion
from ...errors import InputError
from ...kinematics.solve import Stop
from ...skeleton import JOINT_NAMES
from ...types import FloatArray, Markers, SkelMotion
from ..core.body_points import KeypointPoints, attach
from ..core.priors import posture_terms, smoothness
from ..core.problem import BETAS, SHAPE, PointMaker, PointSet, Problem, State, Term
from ..core.terms import Positions, SharedPrior, Stature
from .joint_data import JointCentres, Segment
from .movement_pace import CENTRE_SIGMA_M, Pace, movement_pace
from .start import fill_gaps, root_orientations, spread, standing, unwrapped

JOINT_OF_POINT: dict[str, str] = {
    "hip": "femur",
    "knee": "tibia",
    "ankle": "talus",
    "heel": "calcn",
    "toe": "toes",
    "shoulder": "humerus",
    "elbow": "ulna",
    "wrist": "hand",
}
"""Name of a joint centre, without its side -> SKEL bone of the joint."""
START_SIGMAS_M = (0.15, 0.06)
"""Standard deviations of the first stages. The first guess is relaxed standing, up to a metre from the joints: the first stage
is not robust, so that no joint is rejected as an outlier."""
INDEPENDENT_FRAMES = 12.0
"""Frames that a clip counts for when the shape is estimated."""
HEIGHT_SIGMA_M = 0.005
"""Standard deviation of a given body height."""
TORSO = ("hip_r", "hip_l", "shoulder_r", "shoulder_l")
_LEVER_M = 0.3
"""Distance of the points that stand for a segment's orientation from its origin: with their error they weigh 3 degrees."""
_LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
"""Lengths that give the scale of centres of unknown size."""
_SCALE_STEPS, _LENGTH_SIGMA_M = 8, 0.005
"""Steps of shape and scale of centres of unknown size; standard deviation of the median of a limb's length (own choice)."""
_TOE_TIP = {"toe_r": "right_big_toe", "toe_l": "left_big_toe"}
"""Joint centre at the toes -> landmark at their tip (keypoint set ``coco23``): programs call both of them toe."""
_START_STOP, _STOP = Stop(12, cost=1e-3), Stop(20, cost=1e-4)
"""Of the first stages, and of shape and motion (our choice)."""
_FOCAL_PX = 1000.0
"""There is no camera; any focal length serves."""


def fit_joint_centres(centres: Markers | JointCentres, body: Body, *, height_m: float | None = None) -> SkelMotion:
    """Fit a body and its motion to joint centres, in their axes, as smooth as their noise and the movement ask for.

    Args:
        centres: named ``hip_r``, ``knee_l`` ... (also ``RHip``, ``LKnee``, ``right_hip``); markers alone are in ground axes, y
            up. Hips and shoulders are needed, the others help; NaN where not seen. Toes may be the joint or the tip.
        body: the body to fit.
        height_m: body height, if known.

    Returns:
        The motion in the world or camera frame, with the standard deviation of each angle.

    Raises:
        InputError: hips or shoulders are missing, or centres of unknown size show no limb.
    """
    return fit_with_cutoff(centres, body, height_m=height_m)[0]


def fit_with_cutoff(centres: Markers | JointCentres, body: Body, *, height_m: float | None = None) -> tuple[SkelMotion, float]:
    """Do the work of :func:`fit_joint_centres`, and say how fast the movement is.

    Args:
        centres: see there.
        body: the body to fit.
        height_m: body height, if known.

    Returns:
        The motion, and the frequency in Hz above which there is more noise than movement, 0 where too little is seen: a filter
        with a lower cutoff would take movement away.

    Raises:
        InputError: hips or shoulders are missing, or centres of unknown size show no limb.
    """
    if isinstance(centres, Markers):
        centres = JointCentres(markers=centres)
    markers = centres.markers
    names, columns = _recognised(markers.names)
    missing = [name for name in TORSO if name not in names]
    if missing:
        raise InputError(
            f"the joint centres {', '.join(missing)} are missing among {', '.join(markers.names[:12])}: hips and shoulders are "
            "needed. Names are hip_r, knee_l ... (also RHip, right_hip)"
        )
    to_level = np.diag([1.0, -1.0, -1.0]) if centres.axes == "camera" else SKEL_TO_WORLD.T
    scale = 1.0 if centres.metric else _scale(body, names, np.asarray(markers.positions_m)[:, columns], height_m)
    level = np.asarray(markers.positions_m)[:, columns] @ to_level.T * scale
    segments = [_levelled(segment, to_level, scale) for segment in centres.segments]
    tips = _toes_are_tips(body, names, level)
    pace = movement_pace(markers.time_s, names, level)
    state, sd = _Fit(body, names, level, markers.time_s, height_m, segments, pace, tips=tips).solve()
    found = SkelMotion(
        time_s=markers.time_s,
        poses_rad=state.q[:, :46].numpy(),
        trans_m=state.q[:, 46:].numpy(),
        betas=state.betas,
        body=body.name,
        frame="skel",
        source=centres.source,
        poses_sd_rad=sd[:, :46],
        notes={
            **centres.notes,
            **({} if centres.metric else {"scale": f"{scale:.4g} m per unit, by the lengths of the limbs"}),
        },
    )
    return rotate_motion(found, body, to_level.T, frame=centres.axes), pace.cutoff_hz


def _levelled(segment: Segment, to_level: FloatArray, scale: float) -> Segment:
    return replace(segment, origins_m=segment.origins_m @ to_level.T * scale, rotations=to_level @ segment.rotations)


def _lengths(names: Sequence[str], positions: FloatArray, pairs: Sequence[tuple[str, str]]) -> FloatArray:
    """Median distances (pairs x sides) of joint centres (T, P, 3); NaN where one is not seen."""
    found = np.full((len(pairs), 2), np.nan)
    for row, (near, far) in enumerate(pairs):
        for column, side in enumerate("rl"):
            if f"{near}_{side}" in names and f"{far}_{side}" in names:
                arm = positions[:, names.index(f"{near}_{side}")] - positions[:, names.index(f"{far}_{side}")]
                lengths = np.linalg.norm(arm, axis=-1)
                found[row, column] = np.median(lengths[np.isfinite(lengths)]) if np.isfinite(lengths).any() else np.nan
    return found


def _scale(body: Body, names: list[str], positions: FloatArray, height_m: float | None) -> float:
    """Metres per unit: the likeliest shape of the stature, and the scale with which it has the lengths that are seen."""
    seen = _lengths(names, positions, _LIMBS)
    ends = [(_joint(near, side), _joint(far, side)) for near, far in _LIMBS for side in "rl"]
    both = np.isfinite(seen.reshape(-1)) & (seen.reshape(-1) > 0)
    if not both.any():
        raise InputError("the joint centres are in an unknown unit and show no whole limb: their size cannot be found")
    near, far = np.array(ends)[both].T
    lengths, betas = seen.reshape(-1)[both], np.zeros(10)
    scale = float(
        np.linalg.norm(body.rest(betas).joints_m[near] - body.rest(betas).joints_m[far], axis=1).sum() / lengths.sum()
    )
    for _ in range(_SCALE_STEPS):
        joints, dirs = body.rest(betas).joints_m, body.rest_jacobian(betas)[0]
        arms = joints[near] - joints[far]
        known = np.linalg.norm(arms, axis=1)
        by_betas = np.einsum("li,lib->lb", arms / known[:, None], dirs[near] - dirs[far])
        rows = [np.eye(10, 11), np.column_stack([-by_betas, lengths]) / _LENGTH_SIGMA_M]
        rests = [-betas, (known - scale * lengths) / _LENGTH_SIGMA_M]
        if height_m is not None:
            rows.append(np.append(body.data.stature_line[1], 0.0)[None] / HEIGHT_SIGMA_M)
            rests.append(np.array([(height_m - body.stature_m(betas)) / HEIGHT_SIGMA_M]))
        step = np.linalg.lstsq(np.concatenate(rows), np.concatenate(rests), rcond=None)[0]
        betas, scale = betas + step[:10], scale + float(step[10])
    return scale


def _toes_are_tips(body: Body, names: list[str], level_m: FloatArray) -> bool:
    """Whether the toes' points are nearer to the tips than to the joints, by their distance from the ankle over the shank."""
    seen = _lengths(names, level_m, (("ankle", "toe"), ("knee", "ankle")))
    ratio = np.nanmean(seen[0] / seen[1]) if np.isfinite(seen[0] / seen[1]).any() else np.nan
    joints = body.rest(np.zeros(10)).joints_m
    ankle, shank = joints[_joint("ankle", "r")], np.linalg.norm(joints[_joint("knee", "r")] - joints[_joint("ankle", "r")])
    tip = joints[_joint("toe", "r")] + _tip_offset(body)["toe_r"] * body.stature_m(np.zeros(10))
    to_joint, to_tip = (np.linalg.norm(place - ankle) / shank for place in (joints[_joint("toe", "r")], tip))
    return bool(np.isfinite(ratio) and abs(ratio - to_tip) < abs(ratio - to_joint))


def _tip_offset(body: Body) -> dict[str, FloatArray]:
    """(3,) from the toes' joint to their tip, in statures, of both sides."""
    keypoints = {part.name: part for part in KeypointPoints.of(body, "coco23").keypoints}
    return {name: np.array(keypoints[landmark].offset_over_stature) for name, landmark in _TOE_TIP.items()}


def _joint(place: str, side: str) -> int:
    return JOINT_NAMES.index(f"{JOINT_OF_POINT[place]}_{side}")


def _recognised(names: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Our names of the joint centres among marker names, and their columns; the first of a name counts."""
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        low = name.lower()
        side, place = ("r", low[1:]) if name[:1] == "R" else ("l", low[1:]) if name[:1] == "L" else ("", low)
        for prefix, letter in (("right_", "r"), ("left_", "l")):
            if low.startswith(prefix):
                side, place = letter, low.removeprefix(prefix)
        if low.endswith(("_r", "_l")):
            side, place = low[-1], low[:-2]
        place = {"bigtoe": "toe", "foot_index": "toe"}.get(place, place)
        if side and place in JOINT_OF_POINT:
            found.setdefault(f"{place}_{side}", column)
    return list(found), list(found.values())


@dataclass(eq=False)
class _Fit:
    """Joint centres, prepared for the terms."""

    body: Body
    names: list[str]
    """(P,) of the joint centres."""
    level_m: FloatArray
    """(T, P, 3) in level axes."""
    time_s: FloatArray
    height_m: float | None
    segments: list[Segment]
    """In level axes."""
    pace: Pace
    tips: bool
    """Whether the toes' points are at their tips."""

    def points(self, betas: FloatArray, _offsets_m: FloatArray) -> PointSet:
        """The joints as a point set."""
        joints = [_joint(name[:-2], name[-1]) for name in self.names]
        rest = self.body.rest_pose(betas).joints[0].numpy()[joints]
        change = np.array(self.body.rest_jacobian(betas)[0][joints])
        if self.tips:
            by_betas_m = self.body.data.stature_line[1]
            for name, offset in _tip_offset(self.body).items():
                if name in self.names:
                    rest[self.names.index(name)] += offset * self.body.stature_m(betas)
                    change[self.names.index(name)] += offset[:, None] * by_betas_m
        return attach(self.body, betas, joints, rest, change)

    def riders(self, state: State) -> tuple[PointSet, torch.Tensor]:
        """Three points on each segment's axes: where they ride on the bones (mean over the frames), and where they are seen."""
        origins = np.stack([segment.origins_m for segment in self.segments], axis=1)
        axes = np.stack([segment.rotations for segment in self.segments], axis=1)
        seen = torch.as_tensor(origins[:, :, None] + _LEVER_M * np.swapaxes(axes, -1, -2)).flatten(1, 2)
        bones = [JOINT_NAMES.index(segment.bone) for segment in self.segments for _ in range(3)]
        pose = self.body.tree(state.betas).forward(state.q)
        arms = (seen - pose.positions_m[:, bones])[..., None]
        local = (pose.rotations[:, bones].mT @ arms)[..., 0].nanmean(dim=0)
        shape = torch.zeros(len(bones), 3, SHAPE.stop, dtype=torch.float64)
        return PointSet(torch.tensor(bones), local, shape), seen

    def terms(self, frames: slice | npt.NDArray[np.intp], sigma_m: float | None = None, *, robust: bool = True) -> list[Term]:
        """Positions and postures of some frames; space shows hinges, so that no prior straightens them.

        Args:
            frames: the frames.
            sigma_m: standard deviation of all joint centres; None: that of each.
            robust: see :class:`Positions`.

        Returns:
            The terms.
        """
        target = torch.as_tensor(self.level_m[frames])
        sigma = self.pace.centre_sigma_m if sigma_m is None else np.array(sigma_m)
        return [_positions("joints", target, sigma, robust=robust), *posture_terms(straight=False)]

    def minimise(
        self, state: State, terms: Sequence[Term], stop: Stop, free: Sequence[int] = (), riders: PointSet | None = None
    ) -> tuple[State, Problem]:
        """Solve a problem on the joints and on points that ride on bones; the solution and the problem."""
        sets: dict[str, PointMaker] = {"joints": self.points}
        if riders is not None:
            sets["riders"] = lambda _betas, _offsets_m: riders
        problem = Problem(self.body, sets, terms, free)
        return problem.minimise(state, stop), problem

    def solve(self) -> tuple[State, FloatArray]:
        """First guess in two stages, then the shape from some frames, then all frames; standard deviations (T, 49).

        The first guess is as smooth as everyday movement: frames that are free to jump could end in different postures.
        """
        torso = [self.names.index(name) for name in TORSO]
        rest = self.points(np.zeros(10), np.zeros((8, 3)))
        angles = root_orientations(self.body, self.level_m, rest, torso)
        q = standing(unwrapped(self.time_s, angles))
        q[:, 46:] = fill_gaps(self.time_s, self.level_m[:, torso[:2]].mean(axis=1))
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, _FOCAL_PX)
        everything, smooth = slice(0, len(q)), smoothness(self.time_s)
        for stage, sigma_m in enumerate(START_SIGMAS_M):
            state, _ = self.minimise(state, [*self.terms(everything, sigma_m, robust=stage > 0), smooth], _START_STOP)
        smooth = smoothness(self.time_s, self.pace.acceleration_sigma)
        state = replace(state, betas=self._shape(state, np.flatnonzero(np.isfinite(angles).all(axis=1))))
        solved, problem = self.minimise(state, [*self.terms(everything), smooth], _STOP)
        if self.segments:
            riders, seen = self.riders(solved)
            terms = [*self.terms(everything), _positions("riders", seen, np.array(CENTRE_SIGMA_M)), smooth]
            solved, problem = self.minimise(solved, terms, _STOP, riders=riders)
        return solved, problem.system(problem.view(solved)).standard_deviation()

    def _shape(self, state: State, complete: npt.NDArray[np.intp]) -> FloatArray:
        """(10,) betas from frames with the whole torso: without smoothness, unseen frames would be singular."""
        chosen = spread(complete)
        repeats = float(np.sqrt(max(1.0, len(chosen) / INDEPENDENT_FRAMES)))
        terms = [*self.terms(chosen), SharedPrior(1.0 / repeats, 1.0, _FOCAL_PX, 1.0)]
        if self.height_m is not None:
            terms.append(Stature(self.height_m, *self.body.data.stature_line, HEIGHT_SIGMA_M / repeats))
        start = replace(state, q=state.q[chosen])
        return self.minimise(start, terms, _STOP, range(BETAS.start, BETAS.stop))[0].betas


def _positions(points: str, target_m: torch.Tensor, sigma_m: FloatArray, *, robust: bool = True) -> Positions:
    """Positions (T, P, 3) of a point set with deviations (P,) or one; infinite deviation where one is not seen."""
    sigma = torch.where(torch.isfinite(target_m).all(dim=-1), torch.as_tensor(sigma_m), torch.inf)
    return Positions(points, target_m, sigma, None, robust)
