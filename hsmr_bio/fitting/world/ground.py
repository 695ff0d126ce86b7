"""Grounding: from the camera frame to the world, with gravity, a floor, and feet in contact that do not move.

The fit in the camera frame knows no vertical and no floor. Grounding estimates the camera's tilt and the height of the floor
(``gravity``), and solves the motion again in level axes: soles in contact lie on the floor and have no velocity, no sole is
below the floor, and the centre of mass is where the feet can carry it (``balance``). The evidence is the fitted landmarks, or
the postures of a motion that comes without them.
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
from ...kinematics.solve import Stop
from ...option_checks import check_arguments, options_or_default
from ...skeleton import DOF_NAMES
from ...types import FloatArray, GroundFit, Progress, SkelMotion, quiet
from ..core.body_points import MassPoints, SolePoints, support_of
from ..core.priors import limits, posture_terms, smoothness
from ..core.problem import FLIP, OFFSET_GROUPS, PointMaker, Problem, State, Term, View
from ..core.terms import Balance, Contacts, Floor, PosePrior
from ..core.uncertainty import standard_deviation
from ..core.windows import solve_windows
from ..video.camera_fit import CameraFit
from ..video.keypoints import Clip
from ..video.scene import SceneAxes
from .balance import carried_centre
from .gravity import find_tilt
from .options import GroundOptions

CONTACT_SPEED_M_S, CONTACT_SPEED_WIDTH_M_S = 0.35, 0.08
"""Speed of a sole at which contact has half probability, and width of the logistic function: between the slip of a fitted foot
in contact and the slowest swing (about 1 m/s)."""
CONTACT_HEIGHT_M, CONTACT_HEIGHT_WIDTH_M = 0.06, 0.015
"""The same for the height of a sole above the lowest ones."""
FIRST_DEPTH_SHARE, FIRST_HEIGHT_FACTOR = 0.3, 2.5
"""Before the feet were held: factor on speed towards the camera, because the distance from the camera still drifts, and on
``CONTACT_HEIGHT_M``, because heights still tilt with the camera."""
CONTACT_WINDOW_S = 0.15
"""Speeds are averaged over this time: half the shortest stance."""
LOWEST_PERCENT = 10
"""Percentile of the lowest sole's height over time that heights of contacts are measured from."""
UNKNOWN_CONTACT = 0.9
"""Probability of contact of all soles in clips of fewer than three frames, which show no speed."""
CONTACT_SIGMA_M_S = 0.15
"""Standard deviation of the velocity of a sole in contact."""
FLOOR_SIGMA_M = 0.04
"""Standard deviation of the height of a sole in contact."""
UNDER_SIGMA_M = 0.012
"""The same for a sole below the floor."""
BALANCE_SIGMA_M = 0.04
"""Standard deviation of the centre of mass about the track that the feet can carry."""
BALANCE_SPEED_M_S = 0.35
"""Speed of the centre of mass at which a frame's weight as evidence of the vertical has fallen to 1/e."""
STILL_SPEED_M_S = 0.1
"""The same for quiet standing, in which the knees are nearly straight."""
STILL_KNEE_RAD = (np.radians(5.0), np.radians(10.0))
"""Mean and standard deviation of the knees in quiet standing. The pull fades where they are clearly bent."""
POSTURE_SIGMA_RAD, PLACE_SIGMA_M = np.radians(3.0), (0.02, 0.02, 0.10)
"""Standard deviations of the angles and of the translation (level axes) of a motion whose postures are the evidence."""
SCENE_APART_RAD = np.radians(20.0)
"""Edges of the scene that differ more from the postures' tilt are no walls and floors: postures alone err by up to 10 deg."""
CONTACT_GROUPS = ([0], [1, 2, 3], [4], [5, 6, 7])
"""Sole points of the stored contacts: heel and forefoot, right foot first."""
_LEAST_STILL = 1e-6
"""Lower bound of the probability of quiet standing: standard deviations stay finite."""
_MOST_LOGIT = 40.0
"""Arguments of the logistic function are limited to this: the exponential must not overflow."""
_FIRST_STOP, _LAST_STOP = Stop(8, cost=5e-3), Stop(8, cost=1e-3)
"""Of the two passes; the second continues from the first."""
_FOCAL_PX = 1000.0
"""Of a motion without a camera; any focal length serves."""


def to_world(
    fitted: CameraFit | SkelMotion,
    body: Body,
    options: GroundOptions | None = None,
    *,
    progress: Progress = quiet,
) -> SkelMotion:
    """Bring a motion to the world frame: x forward, y up, floor at y = 0, feet in contact at rest.

    Args:
        fitted: a fit to a video, whose landmarks are the evidence; or a stored motion, whose postures are the evidence, in the
            camera frame or level already (frame ``skel``: then only floor and feet are solved).
        body: the motion's body.
        options: known tilt of the camera, treadmill.
        progress: receives the number of solved windows.

    Returns:
        The motion with contacts, and the camera's position and orientation (``ground``).

    Raises:
        InputError: the motion belongs to another body, or is in the world frame already.

    Source:
        Terms of contacts, floor and balance: ``core.terms``; tilt: ``gravity``; centre of mass: ``balance``.
    """
    check_arguments("to_world(fitted, body, options)", fitted=(fitted, (CameraFit, SkelMotion)), body=(body, Body))
    grounding = _Grounding.of(fitted, body, options_or_default(GroundOptions, options))
    state, contacts, sd = grounding.solve_motion(grounding.solve_tilt(), progress)
    return grounding.world_motion(state, contacts, sd)


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
            motion, clip, scene, offsets_m = fitted.level, fitted.clip, fitted.scene, fitted.offsets_m
        else:
            motion, clip, scene, offsets_m = fitted, None, None, np.zeros((OFFSET_GROUPS, 3))
        require_body(motion, body)
        if motion.frame == "world":
            raise InputError("the motion is in the world frame already: there is nothing to ground")
        level = motion if motion.frame == "skel" else rotate_motion(motion, body, FLIP.numpy(), frame="skel")
        focal_px = _FOCAL_PX if motion.camera is None else motion.camera.focal_px
        state = State(torch.as_tensor(level.q), np.array(motion.betas), np.zeros(2), 0.0, focal_px, offsets_m)
        return cls(level, body, clip, scene, options, state)

    def problem(self, terms: list[Term]) -> Problem:
        """A problem with all point sets."""
        makers: dict[str, PointMaker] = {"soles": SolePoints(self.body), "masses": MassPoints(self.body)}
        if self.clip is not None:
            makers["landmarks"] = self.clip.landmarks
        return Problem(self.body, makers, terms)

    # ------------------------------------------------------------------ evidence
    def evidence(self, state: State, frames: slice) -> list[Term]:
        """Evidence that is independent of the world: pixels, or the postures of the motion."""
        if self.clip is not None:
            return [*self.clip.part(frames).image_terms(state), *posture_terms()]
        sigma = torch.tensor([POSTURE_SIGMA_RAD] * 46 + [*PLACE_SIGMA_M], dtype=torch.float64)
        return [PosePrior(self.state.q[frames], sigma), limits()]

    # ------------------------------------------------------------------ contacts
    def contacts(self, view: View, *, first: bool) -> Tensor:
        """(T, 8) probability of contact of each sole point, from its speed and its height above the lowest soles.

        The product of ``1 / (1 + exp((v - v0) / dv))`` and ``1 / (1 + exp((y - y0) / dy))``. ``first``: before the feet were
        held.
        """
        time_s = self.motion.time_s
        points = view.points("soles").numpy()
        if len(points) < 3:
            return torch.full(points.shape[:2], UNKNOWN_CONTACT, dtype=torch.float64)
        window = max(1, round(CONTACT_WINDOW_S / float(np.median(np.diff(time_s)))))
        smooth = uniform_filter1d(points, window, axis=0, mode="nearest")
        velocity, most_m = np.gradient(smooth, time_s, axis=0), CONTACT_HEIGHT_M
        if first:
            velocity[..., 2] *= FIRST_DEPTH_SHARE
            most_m *= FIRST_HEIGHT_FACTOR
        slow = _logistic((CONTACT_SPEED_M_S - np.linalg.norm(velocity, axis=-1)) / CONTACT_SPEED_WIDTH_M_S)
        height = smooth[..., 1] - np.percentile(smooth[..., 1].min(axis=1), LOWEST_PERCENT)
        return torch.as_tensor(slow * _logistic((most_m - height) / CONTACT_HEIGHT_WIDTH_M))

    def centre_of_mass(self, view: View) -> FloatArray:
        """(T, 3) level axes."""
        return np.asarray(torch.einsum("p,tpi->ti", MassPoints(self.body).shares, view.points("masses")))

    def quietness(self, view: View, standing: Tensor, speed_m_s: float) -> Tensor:
        """(T,) 0 to 1: ``exp(-(v / speed)^2)`` of the centre of mass, times the probability that the feet are in contact."""
        centre = self.centre_of_mass(view)
        on_feet = (standing.sum(dim=1) / 2).clamp_max(1.0)
        if len(centre) < 3:
            return on_feet
        speed = np.linalg.norm(np.gradient(centre, self.motion.time_s, axis=0), axis=1)
        return on_feet * torch.as_tensor(np.exp(-((speed / speed_m_s) ** 2)))

    def stance_terms(self, view: View, standing: Tensor) -> tuple[Balance, PosePrior]:
        """Centre of mass where the feet carry it, and nearly straight knees where the body stands quietly; all frames."""
        shares, support = MassPoints(self.body).shares, torch.as_tensor(support_of(standing.numpy()))
        under = torch.einsum("ts,tsi->ti", support, view.points("soles")).numpy()
        on_feet = standing.max(dim=1).values
        carried = carried_centre(self.motion.time_s, self.centre_of_mass(view), under, on_feet.numpy())
        offset_m = torch.as_tensor((carried - under)[:, [0, 2]])
        balance = Balance("masses", shares, "soles", support, on_feet / BALANCE_SIGMA_M, offset_m)
        still = self.quietness(view, standing, STILL_SPEED_M_S).clamp_min(_LEAST_STILL)
        knees = torch.tensor([name.startswith("knee_angle") for name in DOF_NAMES] + [False] * 3)
        sigma = torch.where(knees, STILL_KNEE_RAD[1] / still.sqrt()[:, None], torch.inf)
        return balance, PosePrior(torch.where(knees, STILL_KNEE_RAD[0], 0.0).double(), sigma, knees)

    # ------------------------------------------------------------------ stages
    def solve_tilt(self) -> State:
        """Estimate camera tilt and floor from the whole clip, and rotate the state and the postures to level axes."""
        view = self.problem([]).view(self.state)
        standing = self.contacts(view, first=True)
        quietness = self.quietness(view, standing, BALANCE_SPEED_M_S).numpy()
        known = self.motion.camera is not None
        find = partial(find_tilt, view, standing.numpy(), quietness, self.options, camera_known=known)
        tilt, floor = find()
        if self.scene is not None:
            scene_tilt = np.array([self.scene.pitch_rad, self.scene.roll_rad])
            kept = bool(np.linalg.norm(scene_tilt - tilt) < SCENE_APART_RAD)
            note = {"scene" if kept else "scene_refused": asdict(self.scene)}
            self.motion = replace(self.motion, notes={**self.motion.notes, **note})
            if kept:
                tilt, floor = find(scene_tilt_rad=scene_tilt)
            else:  # a slope, stairs, a leaning wall: not the directions of a room
                self.scene = None
        state = replace(self.state, tilt_rad=tilt, floor_m=floor)
        rotation = (state.camera_rotation.T @ FLIP).numpy()
        self.state = replace(state, q=torch.as_tensor(rotate_motion(self.motion, self.body, rotation, frame="skel").q))
        return self.state

    def solve_motion(self, state: State, progress: Progress) -> tuple[State, Tensor, FloatArray | None]:
        """Solve all frames twice, each time with new contacts; tilt and floor are held.

        The state, the contacts (T, 8), and standard deviations (T, 46): of the second pass if images are the evidence, else
        those of the motion.
        """
        solved, _, _ = self._solve_pass(state, progress, first=True)
        return self._solve_pass(solved, progress, first=False)

    def _solve_pass(self, state: State, progress: Progress, *, first: bool) -> tuple[State, Tensor, FloatArray | None]:
        view = self.problem([]).view(state)
        standing = self.contacts(view, first=first)
        balance, knees = self.stance_terms(view, standing)

        def solve(start: State, window: slice) -> tuple[State, FloatArray | None]:
            knees_here = replace(knees, sigma=knees.sigma[window])
            problem = self._window_problem(start, window, standing[window], balance.at(window), knees_here)
            solved = problem.minimise(start, _FIRST_STOP if first else _LAST_STOP)
            if first or self.clip is None:
                return solved, None
            return solved, standard_deviation(problem, solved, self.motion.time_s[window])[:, :46]

        def report(done: int, total: int) -> None:
            progress("ground", done if first else total + done, 2 * total)

        solved, sd = solve_windows(state, solve, report)
        return solved, standing, self.motion.poses_sd_rad if sd is None else sd

    def _window_problem(self, state: State, window: slice, standing: Tensor, balance: Balance, knees: PosePrior) -> Problem:
        time_s = self.motion.time_s[window]
        terms: list[Term] = [
            *self.evidence(state, window),
            smoothness(time_s),
            Floor("soles", standing, FLOOR_SIGMA_M, UNDER_SIGMA_M),
            balance,
            knees,
        ]
        if not self.options.treadmill and len(time_s) > 1:
            terms.append(Contacts("soles", time_s, standing, CONTACT_SIGMA_M_S))
        return self.problem(terms)

    def world_motion(self, state: State, standing: Tensor, sd: FloatArray | None) -> SkelMotion:
        """Floor to y = 0, heading to +x, the first frame's pelvis above the origin."""
        contacts = np.stack([standing[:, group].max(dim=1).values.numpy() for group in CONTACT_GROUPS], axis=1)
        q = state.q.numpy()
        level = replace(self.motion, poses_rad=q[:, :46], trans_m=q[:, 46:], poses_sd_rad=sd, contacts=contacts)
        pose = self.problem([]).view(state).pose
        pelvis = pose.positions_m[:, 0].numpy()
        rotation = SKEL_TO_WORLD @ to_forward(pelvis, pose.rotations[0, 0, :, 0].numpy(), self.motion.time_s)
        shift = -(rotation @ np.array([pelvis[0, 0], state.floor_m, pelvis[0, 2]]))
        placed = rotate_motion(level, self.body, rotation, frame="world", shift_m=shift)
        return replace(placed, ground=self._ground(state, standing, rotation, shift))

    def _ground(self, state: State, standing: Tensor, rotation: FloatArray, shift_m: FloatArray) -> GroundFit:
        """Camera in a world that was rotated from level axes by ``rotation`` (3, 3) and then shifted (3,)."""
        edges = "" if self.scene is None else "straight edges of the scene, "
        estimated = f"estimated from {edges}balance and floor contacts"
        to_camera = (state.camera_rotation @ torch.as_tensor(rotation.T)).numpy()
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


def _logistic(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -_MOST_LOGIT, _MOST_LOGIT))))
