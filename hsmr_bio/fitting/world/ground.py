"""From the camera to the laboratory: gravity, floor, and feet that stand still.

The fit in the camera frame knows nothing of the world. Here its result is solved again, in level axes, together with
the camera's tilt and the height of the floor: soles in contact lie on the floor and do not move, no sole is under it,
and the centre of mass is where standing feet can carry it (``balance``). The image evidence stays in the problem when
the motion comes with what it was fitted to; else the postures themselves are the evidence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from ...body.body import Body
from ...body.placing import SKEL_TO_WORLD, require_body, rotate_motion, to_forward
from ...errors import InputError
from ...option_checks import check_arguments, options_or_default
from ...skeleton import DOF_NAMES
from ...types import FloatArray, GroundFit, Progress, SkelMotion, quiet
from ..core.body_points import MassPoints, SolePoints, support_of
from ..core.priors import acceleration_sigma, limits, pose_prior, spine_rhythm
from ..core.problem import FLIP, PointMaker, Problem, State, Term, View
from ..core.terms import Balance, Contacts, Floor, PosePrior, Smoothness
from ..core.uncertainty import standard_deviation
from ..core.windows import windows_of
from ..video.camera_fit import CameraFit
from ..video.keypoints import Clip
from ..video.scene import SceneAxes
from .balance import carried_centre
from .gravity import find_tilt
from .options import GroundOptions

CONTACT_SPEED_M_S = 0.35
"""Half probability of contact: between the slip of a fitted standing foot and the slowest swing (about 1 m/s)."""
CONTACT_HEIGHT_M = 0.06
CONTACT_WINDOW_S = 0.15
"""Speeds are taken over so long: half the shortest stance."""
CONTACT_SIGMA_M_S = 0.15
FLOOR_SIGMA_M = 0.04
UNDER_SIGMA_M = 0.012
BALANCE_SIGMA_M = 0.04
"""Centre of mass against where the feet can carry it."""
SCENE_APART_RAD = np.radians(20.0)
"""Edges of the scene that contradict the postures by more are not walls and floors: postures alone err by up to 10 degrees."""
BALANCE_SPEED_M_S = 0.35
_TOLERANCES = (5e-3, 1e-3)
"""Share of the cost below which a stage's last step ends it: the second stage goes on from the first."""
STILL_SPEED_M_S = 0.1
"""Of the centre of mass: below it a body stands still, not only slowly moving."""
STILL_KNEE_RAD = (np.radians(5.0), np.radians(10.0))
"""Mean and spread of the knees of somebody who stands still: nearly straight. The pull fades where they are clearly bent."""


def to_world(
    fitted: CameraFit | SkelMotion,
    body: Body,
    options: GroundOptions | None = None,
    *,
    progress: Progress = quiet,
) -> SkelMotion:
    """Put a motion into the world: x forward, y up, floor at y = 0, standing feet at rest.

    Args:
        fitted: a fit to a video, whose landmarks stay in the problem; or a stored motion, whose postures are the evidence:
            in the camera frame, or level already (frame ``skel``; then only floor and feet are solved).
        body: the motion's body.
        options: known tilt of the camera, treadmill.
        progress: told about the frames that are done.

    Returns:
        The motion in the world frame, with contacts, and where the camera stands in it (``ground``).

    Raises:
        InputError: the motion belongs to another body, or is in the world frame already.
    """
    check_arguments("to_world(fitted, body, options)", fitted=(fitted, (CameraFit, SkelMotion)), body=(body, Body))
    solver = _Grounding.of(fitted, body, options_or_default(GroundOptions, options))
    state = solver.solve_tilt()
    state, contacts, sd = solver.solve_motion(state, progress)
    return solver.world_motion(state, contacts, sd)


@dataclass(eq=False)
class _Grounding:
    motion: SkelMotion
    """In level axes of the untilted camera."""
    body: Body
    clip: Clip | None
    scene: SceneAxes | None
    options: GroundOptions
    state: State

    @classmethod
    def of(cls, fitted: CameraFit | SkelMotion, body: Body, options: GroundOptions) -> _Grounding:
        if isinstance(fitted, CameraFit):
            plain = cls.of(fitted.level, body, options)
            state = replace(plain.state, offsets_m=fitted.offsets_m)
            return replace(plain, clip=fitted.clip, scene=fitted.scene, state=state)
        require_body(fitted, body)
        if fitted.frame == "world":
            raise InputError("the motion is in the world frame already: there is nothing to ground")
        level = fitted if fitted.frame == "skel" else rotate_motion(fitted, body, FLIP.numpy(), frame="skel")
        focal_px = fitted.camera.focal_px if fitted.camera is not None else 1000.0
        state = State(torch.as_tensor(level.q), np.array(fitted.betas), np.zeros(2), 0.0, focal_px)
        return cls(level, body, None, None, options, state)

    @property
    def makers(self) -> dict[str, PointMaker]:
        """Point sets of the problem."""
        makers: dict[str, PointMaker] = {"soles": SolePoints(self.body), "masses": MassPoints(self.body)}
        if self.clip is not None:
            makers["landmarks"] = self.clip.landmarks
        return makers

    # ------------------------------------------------------------------ evidence
    def evidence(self, state: State, frames: slice | FloatArray) -> list[Term]:
        """What the frames show, whatever the world is: pixels, or the postures as they came."""
        if self.clip is not None:
            return [*self.clip.part(frames).image_terms(state), pose_prior(), spine_rhythm(), limits()]
        sigma = np.concatenate([np.full(46, np.radians(3.0)), [0.02, 0.02, 0.10]])
        sigma[:3] = np.radians(3.0)
        return [PosePrior(self.state.q[frames].clone(), torch.as_tensor(sigma)), limits()]

    # ------------------------------------------------------------------ contacts
    def contacts(self, view: View, *, first: bool = False) -> Tensor:
        """(T, 8) probability that each sole point stands, from its speed and its height over the lowest ones.

        Before the feet were held (``first``) their distance from the camera still wanders and heights still lean with the
        camera: speed towards the camera then counts less, and height is judged more generously.
        """
        time_s = np.asarray(self.motion.time_s)
        points = view.points("soles").numpy()
        if len(points) < 3:
            return torch.full(points.shape[:2], 0.9, dtype=torch.float64)
        window = max(1, round(CONTACT_WINDOW_S / float(np.median(np.diff(time_s)))))
        smooth = uniform_filter1d(points, window, axis=0, mode="nearest")
        velocity = np.gradient(smooth, time_s, axis=0)
        velocity[..., 2] *= 0.3 if first else 1.0
        slow = _sigmoid((CONTACT_SPEED_M_S - np.linalg.norm(velocity, axis=-1)) / 0.08)
        height = smooth[..., 1] - np.percentile(smooth[..., 1].min(axis=1), 10)
        low = _sigmoid((CONTACT_HEIGHT_M * (2.5 if first else 1.0) - height) / 0.015)
        return torch.as_tensor(slow * low)

    def centre_of_mass(self, view: View) -> FloatArray:
        """(T, 3)."""
        return np.asarray(torch.einsum("p,tpi->ti", MassPoints(self.body).shares, view.points("masses")))

    def quietness(self, view: View, standing: Tensor, speed_m_s: float) -> Tensor:
        """(T,) 0 to 1: how surely the body stands on its feet with a centre of mass slower than ``speed_m_s``."""
        centre = self.centre_of_mass(view)
        on_feet = (standing.sum(dim=1) / 2).clamp_max(1.0)
        if len(centre) < 3:
            return on_feet
        speed = np.linalg.norm(np.gradient(centre, np.asarray(self.motion.time_s), axis=0), axis=1)
        return on_feet * torch.as_tensor(np.exp(-((speed / speed_m_s) ** 2)))

    def stance_terms(self, view: View, standing: Tensor) -> tuple[Balance, PosePrior]:
        """Centre of mass where the feet carry it, and knees nearly straight as far as the body stands quietly."""
        shares, support = MassPoints(self.body).shares, torch.as_tensor(support_of(standing.numpy()))
        under = torch.einsum("ts,tsi->ti", support, view.points("soles")).numpy()
        on_feet = standing.max(dim=1).values
        carried = carried_centre(np.asarray(self.motion.time_s), self.centre_of_mass(view), under, on_feet.numpy())
        ahead = torch.as_tensor((carried - under)[:, [0, 2]])
        balance = Balance("masses", shares, "soles", support, on_feet / BALANCE_SIGMA_M, ahead)
        still = self.quietness(view, standing, STILL_SPEED_M_S).clamp_min(1e-6)
        knees = torch.tensor([name.startswith("knee_angle") for name in DOF_NAMES] + [False] * 3)
        sigma = torch.where(knees, STILL_KNEE_RAD[1] / still.sqrt()[:, None], torch.inf)
        return balance, PosePrior(torch.where(knees, STILL_KNEE_RAD[0], 0.0).double(), sigma, knees)

    # ------------------------------------------------------------------ stages
    def solve_tilt(self) -> State:
        """Camera tilt and floor from the whole clip; from here on all guesses, and postures as evidence, are level."""
        view = Problem(self.body, self.makers, []).view(self.state)
        standing = self.contacts(view, first=True)
        quietness = self.quietness(view, standing, BALANCE_SPEED_M_S).numpy()
        evidence = partial(find_tilt, view, standing.numpy(), quietness, self.options)
        tilt, floor = evidence(camera_known=self.motion.camera is not None)
        if self.scene is not None:
            seen = np.array([self.scene.pitch_rad, self.scene.roll_rad])
            kept = bool(np.linalg.norm(seen - tilt) < SCENE_APART_RAD)
            note = {"scene" if kept else "scene_refused": asdict(self.scene)}
            self.motion = replace(self.motion, notes={**self.motion.notes, **note})
            if kept:
                tilt, floor = evidence(camera_known=self.motion.camera is not None, scene_tilt_rad=seen)
            else:  # a slope, stairs, a leaning wall: not the directions of a room
                self.scene = None
        self.state = self._level(replace(self.state, tilt_rad=tilt, floor_m=floor))
        return self.state

    def _level(self, state: State) -> State:
        """Turn the motion into the level axes of the tilted camera."""
        rotation = (state.camera_rotation.T @ FLIP).numpy()
        return replace(state, q=torch.as_tensor(rotate_motion(self.motion, self.body, rotation, frame="skel").q))

    def solve_motion(self, state: State, progress: Progress) -> tuple[State, Tensor, FloatArray | None]:
        """All frames, in windows, with tilt and floor held: contacts found twice, the motion solved twice.

        The standard deviations (T, 46) are new where images are the evidence; else they are those that came with the motion.
        """
        windows = windows_of(len(state.q))
        standing = torch.zeros(len(state.q), 8, dtype=torch.float64)
        sd = np.zeros((len(state.q), 46))
        steps = len(_TOLERANCES) * len(windows)
        for stage, tolerance in enumerate(_TOLERANCES):
            view = Problem(self.body, self.makers, []).view(state)
            standing = self.contacts(view, first=stage == 0)
            stance = self.stance_terms(view, standing)
            q = state.q.clone()
            for i, (window, keep) in enumerate(windows):
                progress("ground", stage * len(windows) + i, steps)
                start = replace(state, q=state.q[window])
                problem, solved = self._solve_window(start, window, standing, stance, tolerance)
                target = slice(window.start + keep.start, window.start + keep.stop)
                q[target] = solved.q[keep]
                if self.clip is not None and stage == len(_TOLERANCES) - 1:
                    sd[target] = standard_deviation(problem, solved, np.asarray(self.motion.time_s[window]))[keep, :46]
            state = replace(state, q=q)
        progress("ground", steps, steps)
        return state, standing, self.motion.poses_sd_rad if self.clip is None else sd

    def _solve_window(
        self, state: State, window: slice, standing: Tensor, stance: tuple[Balance, PosePrior], tolerance: float
    ) -> tuple[Problem, State]:
        time_s = np.asarray(self.motion.time_s[window])
        here = standing[window]
        balance, knees = stance
        terms: list[Term] = [
            *self.evidence(state, window),
            Smoothness(time_s, acceleration_sigma()),
            Floor("soles", here, FLOOR_SIGMA_M, UNDER_SIGMA_M),
            balance.at(window),
            replace(knees, sigma=knees.sigma[window]),
        ]
        if not self.options.treadmill and len(time_s) > 1:
            terms.append(Contacts("soles", time_s, here, CONTACT_SIGMA_M_S))
        problem = Problem(self.body, self.makers, terms, [])
        solved, _ = problem.minimise(state, iterations=8, tolerance=tolerance)
        return problem, solved

    def world_motion(self, state: State, standing: Tensor, sd: FloatArray | None) -> SkelMotion:
        """Floor to y = 0, forward to +x, the first frame's support over the origin."""
        level = replace(
            self.motion,
            poses_rad=state.q[:, :46].numpy(),
            trans_m=state.q[:, 46:].numpy(),
            poses_sd_rad=sd,
            contacts=np.stack(
                [standing[:, group].max(dim=1).values.numpy() for group in ([0], [1, 2, 3], [4], [5, 6, 7])], axis=1
            ),
        )
        view = Problem(self.body, self.makers, []).view(state)
        pelvis = view.pose.positions_m[:, 0].numpy()
        rotation = to_forward(pelvis, view.pose.rotations[0, 0, :, 0].numpy(), np.asarray(self.motion.time_s))
        shift = -(SKEL_TO_WORLD @ rotation @ np.array([pelvis[0, 0], state.floor_m, pelvis[0, 2]]))
        placed = rotate_motion(level, self.body, SKEL_TO_WORLD @ rotation, frame="world", shift_m=shift)
        return replace(placed, ground=self._ground(state, standing, rotation, shift))

    def _ground(self, state: State, standing: Tensor, rotation: FloatArray, shift_m: FloatArray) -> GroundFit:
        """Where the camera stands in a world that was turned by ``rotation`` (3, 3), level axes, and then shifted (3,)."""
        seen_in = "" if self.scene is None else "straight edges of the scene, "
        estimated = f"estimated from {seen_in}balance and floor contacts"
        to_camera = (state.camera_rotation @ torch.as_tensor((SKEL_TO_WORLD @ rotation).T)).numpy()
        return GroundFit(
            camera_pitch_rad=float(state.tilt_rad[0]),
            camera_roll_rad=float(state.tilt_rad[1]),
            pitch_source=estimated if self.options.camera_pitch_rad is None else "given",
            roll_source=estimated if self.options.camera_roll_rad is None else "given",
            camera_height_m=float(-state.floor_m),
            standing_share=float((standing.max(dim=1).values > 0.5).double().mean()),
            R_camera_world=to_camera,
            t_camera_world_m=-to_camera @ shift_m,
            treadmill=self.options.treadmill,
        )


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -40, 40))))
