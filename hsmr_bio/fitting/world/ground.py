"""Grounding: from the camera frame to the world, with gravity, a floor, and feet in contact that do not move.

The fit in the camera frame knows no vertical and no floor. Grounding estimates the camera's tilt and the height of the floor
(``gravity``), and solves the motion again in level axes: soles in contact lie on the floor and have no velocity, no sole is
below the floor, and the centre of mass is where the feet can carry it (``balance``). The evidence is the fitted landmarks, or
the postures of a motion that comes without them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

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
from .contacts import CONTACT_GROUPS, FootContacts, contacts
from .evidence import MOST_APART, WorldEvidence, image_distance, trust
from .gravity import PITCH_RAD, SCENE_RAD, find_tilt, level_rotation, posture_axes
from .options import GroundOptions
from .support import Posture, straight_leg

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
POSTURE_TILT_RAD = (np.radians(10.0), np.radians(6.0))
"""Standard deviations, towards the camera and across the view, of the line from the feet to the centre of mass of a fitted
body: one camera hardly shows the depth of either."""
ROLL_RAD = np.radians(6.0)
"""Standard deviation of the camera's roll before anything is known. A larger roll needs evidence of the scene: somebody who
seems to stand in a picture rolled by 90 degrees lies."""
_LEAST_STILL = 1e-6
"""Lower bound of the probability of quiet standing: standard deviations stay finite."""
_FIRST_STOP, _LAST_STOP = Stop(8, cost=5e-3), Stop(8, cost=1e-3)
"""Of the two passes; the second continues from the first."""
_FOCAL_PX = 1000.0
"""Of a motion without a camera; any focal length serves."""


def to_world(
    fitted: CameraFit | SkelMotion,
    body: Body,
    options: GroundOptions | None = None,
    *,
    evidence: WorldEvidence | None = None,
    progress: Progress = quiet,
) -> SkelMotion:
    """Bring a motion to the world frame: x forward, y up, floor at y = 0, feet in contact at rest.

    Args:
        fitted: a fit to a video, whose landmarks are the evidence; or a stored motion, whose postures are the evidence, in the
            camera frame or level already (frame ``skel``: then only floor and feet are solved).
        body: the motion's body.
        options: known tilt of the camera, treadmill.
        evidence: of contacts and of the vertical, by something else than the fit.
        progress: receives the number of solved windows.

    Returns:
        The motion with contacts, and the camera's position and orientation (``ground``). Without a foot that stands there is no
        floor: the lowest point of the body is at y = 0.

    Raises:
        InputError: the motion belongs to another body, or is in the world frame already.

    Source:
        Terms of contacts, floor and balance: ``core.terms``; tilt: ``gravity``; centre of mass: ``balance``.
    """
    check_arguments("to_world(fitted, body, options)", fitted=(fitted, (CameraFit, SkelMotion)), body=(body, Body))
    grounding = _Grounding.of(fitted, body, options_or_default(GroundOptions, options), evidence or WorldEvidence())
    state, feet, sd = grounding.solve_motion(grounding.solve_tilt(), progress)
    return grounding.world_motion(state, feet, sd)


@dataclass(eq=False)
class _Grounding:
    motion: SkelMotion
    """In level axes of the untilted camera."""
    body: Body
    clip: Clip | None
    scene: SceneAxes | None
    options: GroundOptions
    others: WorldEvidence
    state: State

    @classmethod
    def of(cls, fitted: CameraFit | SkelMotion, body: Body, options: GroundOptions, others: WorldEvidence) -> _Grounding:
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
        return cls(level, body, clip, scene, options, others, state)

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

    def apart(self, view: View) -> FloatArray | None:
        """(T,) distance of the model from the landmarks, torso lengths."""
        return None if self.clip is None else image_distance(self.clip, view.state, view)

    # ------------------------------------------------------------------ contacts
    def contacts(
        self,
        view: View,
        tilt_rad: FloatArray,
        sigma_rad: tuple[float, float],
        *,
        first: bool,
        over_feet: FloatArray | None = None,
    ) -> FootContacts:
        """Contacts of a state whose axes are level after a further tilt (2,) that is known to (2,) standard deviations."""
        sigma = float(np.hypot(sigma_rad[0], POSTURE_TILT_RAD[0])), float(np.hypot(sigma_rad[1], POSTURE_TILT_RAD[1]))
        posture = Posture.of(view, level_rotation(tilt_rad))
        others = self.others.contact_probability
        time_s = self.motion.time_s
        return contacts(posture, time_s, sigma, first=first, over_feet=over_feet, contact_probability=others)

    def centre_of_mass(self, view: View) -> FloatArray:
        """(T, 3) level axes."""
        return np.asarray(torch.einsum("p,tpi->ti", MassPoints(self.body).shares, view.points("masses")))

    def quietness(self, view: View, feet: FootContacts, speed_m_s: float) -> FloatArray:
        """(T,) 0 to 1: ``exp(-(v / speed)^2)`` of the centre of mass, times the probability that the feet are in contact."""
        centre = self.centre_of_mass(view)
        on_feet = np.minimum(feet.standing.sum(axis=1) / 2, 1.0)
        if len(centre) < 3:
            return np.asarray(on_feet)
        speed = np.linalg.norm(np.gradient(centre, self.motion.time_s, axis=0), axis=1)
        return np.asarray(on_feet * np.exp(-((speed / speed_m_s) ** 2)))

    def stance_terms(self, view: View, feet: FootContacts) -> tuple[Balance, PosePrior]:
        """Centre of mass where the feet carry it, and nearly straight knees where the body stands quietly; all frames."""
        shares, support = MassPoints(self.body).shares, torch.as_tensor(support_of(feet.standing))
        under = torch.einsum("ts,tsi->ti", support, view.points("soles")).numpy()
        on_feet = feet.standing.max(axis=1) * feet.carried
        track = carried_centre(self.motion.time_s, self.centre_of_mass(view), under, on_feet)
        offset_m = torch.as_tensor((track - under)[:, [0, 2]])
        balance = Balance("masses", shares, "soles", support, torch.as_tensor(on_feet / BALANCE_SIGMA_M), offset_m)
        still = torch.as_tensor(self.quietness(view, feet, STILL_SPEED_M_S) * feet.carried).clamp_min(_LEAST_STILL)
        knees = torch.tensor([name.startswith("knee_angle") for name in DOF_NAMES] + [False] * 3)
        sigma = torch.where(knees, STILL_KNEE_RAD[1] / still.sqrt()[:, None], torch.inf)
        return balance, PosePrior(torch.where(knees, STILL_KNEE_RAD[0], 0.0).double(), sigma, knees)

    # ------------------------------------------------------------------ stages
    def first_tilt(self) -> tuple[FloatArray, tuple[float, float]]:
        """Pitch and roll (2,) of the camera and their standard deviations, before the postures are looked at."""
        if self.motion.camera is None:
            return np.zeros(2), (0.0, 0.0)
        guess = [PITCH_RAD, (0.0, ROLL_RAD)]
        if self.scene is not None:
            guess = [(self.scene.pitch_rad, SCENE_RAD), (self.scene.roll_rad, SCENE_RAD)]
        given = (self.options.camera_pitch_rad, self.options.camera_roll_rad)
        known = [g if k is None else (k, 0.0) for g, k in zip(guess, given, strict=True)]
        return np.array([mean for mean, _ in known]), (known[0][1], known[1][1])

    def solve_tilt(self) -> State:
        """Estimate camera tilt and floor from the whole clip, and rotate the state and the postures to level axes.

        The scene counts unless bodies on straight legs contradict it.
        """
        scene, self.scene = self.scene, None
        view = self.problem([]).view(self.state)
        tilt, floor, vertical = self._find_tilt(view)
        if scene is not None:
            scene_tilt = np.array([scene.pitch_rad, scene.roll_rad])
            kept = not vertical or bool(np.linalg.norm(scene_tilt - tilt) < SCENE_APART_RAD)
            note = {"scene" if kept else "scene_refused": asdict(scene)}
            self.motion = replace(self.motion, notes={**self.motion.notes, **note})
            if kept:  # else a slope, stairs, a leaning wall: not the directions of a room
                self.scene = scene
                tilt, floor, _ = self._find_tilt(view)
        state = replace(self.state, tilt_rad=tilt, floor_m=floor)
        rotation = (state.camera_rotation.T @ FLIP).numpy()
        self.state = replace(state, q=torch.as_tensor(rotate_motion(self.motion, self.body, rotation, frame="skel").q))
        return self.state

    def _find_tilt(self, view: View) -> tuple[FloatArray, float, bool]:
        """Pitch and roll (2,), height of the floor, and whether bodies on straight legs show the vertical."""
        tilt, sigma = self.first_tilt()
        feet = self.contacts(view, tilt, sigma, first=True)
        quietness = self.quietness(view, feet, BALANCE_SPEED_M_S)
        seen = None if self.scene is None else np.array([self.scene.pitch_rad, self.scene.roll_rad])
        found = find_tilt(
            view,
            feet.standing,
            quietness,
            self.options,
            camera_known=self.motion.camera is not None,
            scene_tilt_rad=seen,
            carried=feet.carried,
            up=self.others.up,
        )
        return *found, bool(posture_axes(view, feet.standing, quietness, feet.carried * straight_leg(view)))

    def solve_motion(self, state: State, progress: Progress) -> tuple[State, FootContacts, FloatArray | None]:
        """Solve all frames twice, each time with new contacts; tilt and floor are held.

        Where contacts, floor and balance take the model away from the picture, they lose weight; all of it, if that does not
        help.

        Returns:
            The state, the contacts, and standard deviations (T, 46): of the last pass if images are the evidence, else those of
            the motion.
        """
        view = self.problem([]).view(state)
        before, level = self.apart(view), np.zeros(2)
        feet = self.contacts(view, level, (0.0, 0.0), first=True)
        solved, _ = self._solve_pass(state, feet, progress, first=True)
        view = self.problem([]).view(solved)
        after = self.apart(view)
        feet = self.contacts(view, level, (0.0, 0.0), first=False, over_feet=feet.over_feet)
        if before is not None and after is not None:
            feet = feet.weighted(trust(before, after))
        solved, sd = self._solve_pass(solved, feet, progress, first=False)
        after = self.apart(self.problem([]).view(solved))
        if before is not None and after is not None and float((after - before).mean()) > MOST_APART:
            feet = feet.weighted(np.zeros(len(after)))
            solved, sd = self._solve_pass(state, feet, progress, first=False)
        return solved, feet, self.motion.poses_sd_rad if sd is None else sd

    def _solve_pass(
        self, state: State, feet: FootContacts, progress: Progress, *, first: bool
    ) -> tuple[State, FloatArray | None]:
        balance, knees = self.stance_terms(self.problem([]).view(state), feet)

        def solve(start: State, window: slice) -> tuple[State, FloatArray | None]:
            stance: list[Term] = [balance.at(window), replace(knees, sigma=knees.sigma[window])]
            problem = self._window_problem(start, window, feet, stance)
            solved = problem.minimise(start, _FIRST_STOP if first else _LAST_STOP)
            if first or self.clip is None:
                return solved, None
            return solved, standard_deviation(problem, solved, self.motion.time_s[window])[:, :46]

        def report(done: int, total: int) -> None:
            progress("ground", done if first else total + done, 2 * total)

        return solve_windows(state, solve, report)

    def _window_problem(self, state: State, window: slice, feet: FootContacts, stance: list[Term]) -> Problem:
        time_s = self.motion.time_s[window]
        terms: list[Term] = [*self.evidence(state, window), smoothness(time_s), *stance]
        if feet.floor:
            terms.append(Floor("soles", torch.as_tensor(feet.standing[window]), FLOOR_SIGMA_M, UNDER_SIGMA_M))
        if not self.options.treadmill and len(time_s) > 1:
            terms.append(Contacts("soles", time_s, torch.as_tensor(feet.resting[window]), CONTACT_SIGMA_M_S))
        return self.problem(terms)

    def world_motion(self, state: State, feet: FootContacts, sd: FloatArray | None) -> SkelMotion:
        """Floor (or lowest point) to y = 0, heading to +x, the first frame's pelvis above the origin."""
        view = self.problem([]).view(state)
        if not feet.floor:
            state = replace(state, floor_m=float(Posture.of(view).lowest_m.min()))
        stored = np.stack([feet.standing[:, group].max(axis=1) for group in CONTACT_GROUPS], axis=1)
        q = state.q.numpy()
        level = replace(self.motion, poses_rad=q[:, :46], trans_m=q[:, 46:], poses_sd_rad=sd, contacts=stored)
        pelvis = view.pose.positions_m[:, 0].numpy()
        rotation = SKEL_TO_WORLD @ to_forward(pelvis, view.pose.rotations[0, 0, :, 0].numpy(), self.motion.time_s)
        shift = -(rotation @ np.array([pelvis[0, 0], state.floor_m, pelvis[0, 2]]))
        placed = rotate_motion(level, self.body, rotation, frame="world", shift_m=shift)
        return replace(placed, ground=self._ground(state, feet, rotation, shift))

    def _ground(self, state: State, feet: FootContacts, rotation: FloatArray, shift_m: FloatArray) -> GroundFit:
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
            standing_share=float((feet.standing.max(axis=1) > 0.5).mean()),
            R_camera_world=to_camera,
            t_camera_world_m=-to_camera @ shift_m,
            treadmill=self.options.treadmill,
            floor=feet.floor,
        )
