"""The main path: a motion and its model to events, cycles and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..dynamics.load_files import read_loads
from ..dynamics.loads import ExternalLoads
from ..errors import InputError
from ..io.mot import read_mot
from ..io.npz import load_motion
from ..mapping import deviations
from ..option_checks import check_choice, check_number
from ..osim.build import GRAVITY_M_S2
from ..osim.library import Model, as_document
from ..types import OsimMotion, SkelMotion
from .analysis import Analysis
from .band import Band, compare_with_band, read_band
from .cycles import cut_cycles
from .draws import movement_draws
from .events import EXACT, Event, Jitter
from .foot_events import foot_events, merge_forces
from .force_events import force_events
from .gait import examine_gait
from .jump import examine_jump
from .movement import Movement, stretches
from .parameters import parameters, summarise
from .place import Placed, place
from .ranges import examine_ranges
from .recognise import TASKS, recognise
from .sit_to_stand import examine_sit_to_stand
from .squat import examine_squat
from .travel import travel
from .values import Examined, Key

if TYPE_CHECKING:
    from ..osim.document import OsimDocument

_LEG_OF_STATURE = 0.53
"""Height of the hip over stature: Winter 2009, fig. 4.1 (Drillis and Contini)."""
_SAME_STEP_S, _SAME_EVENT_S = 0.15, 0.5
"""An event of a draw is that of the motion if it has its name and side and is no farther in time: a third of a step for the
feet; half of a short squat or rise for the hips."""
_SURE = 0.9
"""Events that fewer draws have are doubtful."""
_SAME_TIME_S = 1e-3
"""Frames of a motion and of the SKEL motion beside it are the same if their times are this close."""


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """Choices of an analysis."""

    task: str = "auto"
    """``auto`` (recognised), ``gait``, ``squat``, ``sit-to-stand``, ``jump``, or ``none`` (range of motion only)."""
    treadmill: bool | None = None
    """Whether the feet move with a belt; None: recognised."""
    height_sd_m: float = 0.0
    """Standard deviation of the body height that the model was scaled with: 0 if it was measured, 0.07 to 0.1 if it is the
    population's mean. All lengths and speeds share it."""
    draws: int = 100
    """Draws of the Monte Carlo method: 100 tell a deviation to 7 %; 0: only deviations of events and over repetitions."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("task", self.task, ("auto", *TASKS))
        check_number("height_sd_m", self.height_sd_m, "m", low=0.0, high=0.5)
        check_number("draws", self.draws, low=0, high=10_000)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Part:
    """One stretch of a movement with what was found in it."""

    movement: Movement
    found: Examined


@dataclass(frozen=True, eq=False, kw_only=True)
class _Study:
    """What is the same for the motion and for its draws."""

    task: str
    belt: bool
    forces: Sequence[Event] = field(default_factory=tuple)

    def examine(self, movement: Movement, jitter: Jitter = EXACT) -> list[_Part]:
        """Examine every stretch of a movement."""
        return [_Part(movement=part, found=self._examine(part, jitter)) for part in stretches(movement)]

    def _examine(self, movement: Movement, jitter: Jitter) -> Examined:
        if self.task == "squat":
            return examine_squat(movement, jitter)
        if self.task == "sit-to-stand":
            return examine_sit_to_stand(movement, jitter)
        if self.task == "jump":
            return examine_jump(movement, jitter)
        if self.task == "none":
            return examine_ranges(movement)
        going = travel(movement, treadmill=self.belt)
        inside = [e for e in self.forces if movement.time_s[0] <= e.time_s <= movement.time_s[-1]]
        events = merge_forces(foot_events(going), inside)
        moved = [replace(e, time_s=jitter(e.name, e.time_s, e.sd_s if e.evidence == "forces" else None)) for e in events]
        return examine_gait(going, sorted(moved, key=lambda event: event.time_s))


def analyse(
    motion: OsimMotion | Movement | str | PathLike[str],
    model: Model | None = None,
    *,
    loads: ExternalLoads | str | PathLike[str] | None = None,
    skel: SkelMotion | None = None,
    band: Mapping[str, Band] | str | PathLike[str] | None = None,
    options: AnalysisOptions | None = None,
    name: str | None = None,
) -> Analysis:
    """Find events, cycles and parameters of a motion, each with its uncertainty.

    Args:
        motion: coordinates, or the path of a ``.mot``; the angles' deviations are its ``sd_si``, else those of ``skel``. Or
            joint centres alone (:func:`hsmr_bio.analysis.from_joint_centres`), which need no model.
        model: the motion's model; None: the ``.osim`` of the same name beside the path. Bodies have OpenSim's common names.
        loads: measured ground reaction forces, or their file; events of the plates then cut the cycles.
        skel: SKEL motion of the same frames, for the deviations; None: ``NAME_skel.npz`` beside the path, if there is one.
        band: reference curves to compare the cycles with, or their ``.csv``.
        options: task, treadmill, draws; None: the defaults.
        name: of the clip; None: the path's, else ``motion``.

    Returns:
        The findings. A task that is not there gives no parameters; the notes say so.

    Raises:
        InputError: no model, or a file that cannot be used.
        ModelError: the model has no legs with OpenSim's names.
    """
    chosen = AnalysisOptions() if options is None else options
    clip = name or ("motion" if isinstance(motion, OsimMotion | Movement) else Path(motion).stem)
    placed = Placed(movement=motion) if isinstance(motion, Movement) else place(*read_analysed(motion, model, skel))
    parts = stretches(placed.movement)
    if not parts:
        raise InputError(f"{clip}: an analysis needs at least 0.3 s of motion without a gap")
    longest = max(parts, key=lambda part: len(part.time_s))
    task, why = recognise(longest, treadmill=chosen.treadmill) if chosen.task == "auto" else (chosen.task, "as asked for")
    plates = _plates(loads, placed)
    belt = task == "gait" and travel(longest, treadmill=chosen.treadmill).belt_m_s > 0
    study = _Study(task=task, belt=belt, forces=plates)
    found = study.examine(placed.movement)
    means, times = _draws(placed, study, chosen)
    values = _together(part.found.values for part in found)
    cycles = cut_cycles([(part.movement, part.found.spans) for part in found])
    return Analysis(
        name=clip,
        task=task,
        why=why,
        events=_events(study, found, plates, times, placed.movement.rate_hz),
        cycles=cycles,
        parameters=parameters(values, means),
        bands=() if band is None else compare_with_band(cycles, band if isinstance(band, Mapping) else read_band(band)),
        notes=_notes(placed, task, values, len(parts), skel_lengths=placed.sd_si is not None and not chosen.height_sd_m),
    )


def read_analysed(
    motion: OsimMotion | str | PathLike[str], model: Model | None, skel: SkelMotion | None = None
) -> tuple[OsimMotion, OsimDocument]:
    """Read a motion with its model and its deviations.

    Args:
        motion: coordinates, or their path.
        model: None: the ``.osim`` of the same name beside the path.
        skel: SKEL motion with the deviations; None: ``NAME_skel.npz`` beside the path, if there is one.

    Returns:
        The motion, with deviations where they are known, and the model.

    Raises:
        InputError: no model is given, and none lies beside.
    """
    path = None if isinstance(motion, OsimMotion) else Path(motion)
    if model is None and path is not None and path.with_suffix(".osim").is_file():
        model = path.with_suffix(".osim")
    if model is None:
        raise InputError(f"{path or 'the motion'}: which model? Give the .osim of the motion")
    document = as_document(model)
    coordinates = motion if isinstance(motion, OsimMotion) else read_mot(motion, document)
    stored = None if path is None else path.with_name(f"{path.stem}_skel.npz")
    if skel is None and stored is not None and stored.is_file():
        skel = load_motion(stored)
    if coordinates.sd_si is not None or skel is None or not _same_frames(coordinates, skel):
        return coordinates, document
    return replace(coordinates, sd_si=deviations(skel, coordinates.coordinates)), document


def _same_frames(motion: OsimMotion, skel: SkelMotion) -> bool:
    return len(motion.time_s) == len(skel.time_s) and np.allclose(motion.time_s, skel.time_s, atol=_SAME_TIME_S)


def _plates(loads: ExternalLoads | str | PathLike[str] | None, placed: Placed) -> tuple[Event, ...]:
    """Find the events of the force plates; none without loads."""
    if loads is None:
        return ()
    if not placed.mass_kg:
        raise InputError("force plates need the body weight: give coordinates and a model, not joint centres alone")
    given = loads if isinstance(loads, ExternalLoads) else read_loads(loads)
    return tuple(force_events(given, placed.movement, placed.mass_kg * GRAVITY_M_S2))


def _draws(placed: Placed, study: _Study, options: AnalysisOptions) -> tuple[list[Mapping[Key, float]], list[Sequence[Event]]]:
    """Means and events of every draw."""
    rng = np.random.default_rng(options.seed)
    share = options.height_sd_m * _LEG_OF_STATURE / placed.movement.leg_m
    means: list[Mapping[Key, float]] = []
    events: list[Sequence[Event]] = []
    for movement in movement_draws(placed, options.draws, rng, height_share_sd=share):
        found = study.examine(movement, Jitter(rng))
        means.append(summarise(_together(part.found.values for part in found)))
        events.append([event for part in found for event in part.found.events])
    return means, events


def _together(values: Iterable[Mapping[Key, Sequence[float]]]) -> dict[Key, list[float]]:
    """Values of all stretches."""
    total: dict[Key, list[float]] = {}
    for part in values:
        for key, found in part.items():
            total.setdefault(key, []).extend(found)
    return total


def _events(
    study: _Study, found: Sequence[_Part], plates: Sequence[Event], draws: Sequence[Sequence[Event]], rate_hz: float
) -> tuple[Event, ...]:
    """Events of the motion with their deviations over the draws, and those of the plates."""
    own = [event for part in found for event in part.found.events if event.evidence == "motion"]
    if plates and study.task == "gait":  # those that the plates' events stand for are listed, too
        own = [event for part in found for event in foot_events(travel(part.movement, treadmill=study.belt))]
        draws = ()
    return tuple(sorted([*(_with_deviation(e, draws, rate_hz) for e in own), *plates], key=lambda event: event.time_s))


def _with_deviation(event: Event, draws: Sequence[Sequence[Event]], rate_hz: float) -> Event:
    """Give an event the deviation of its times over the draws."""
    if not draws:
        return event
    within_s = _SAME_STEP_S if event.side else _SAME_EVENT_S
    times = []
    for drawn in draws:
        near = [e.time_s for e in drawn if (e.name, e.side) == (event.name, event.side)]
        near = [time for time in near if abs(time - event.time_s) < within_s]
        if near:
            times.append(min(near, key=lambda time: abs(time - event.time_s)))
    if len(times) < 2:
        return replace(event, note=event.note or "not found in the draws")
    sd_s = float(np.hypot(np.std(times, ddof=1), 1.0 / (np.sqrt(12.0) * rate_hz)))
    share = len(times) / len(draws)
    doubt = f"found in {100 * share:.0f} % of the draws only" if share < _SURE else ""
    return replace(event, sd_s=max(sd_s, event.sd_s), note="; ".join(filter(None, (event.note, doubt))))


def _notes(
    placed: Placed, task: str, values: Mapping[Key, Sequence[float]], parts: int, *, skel_lengths: bool
) -> tuple[str, ...]:
    """Say what limits the findings."""
    found = []
    if not any(any(v) for v in values.values()):
        found.append(f"no {task} was found: there are no parameters")
    if placed.sd_si is None:
        found.append("the angles have no deviations: those of the parameters hold the events' and the spread over repetitions")
    elif skel_lengths:
        found.append("lengths and speeds hold if the body height is right: give its deviation if it was not measured")
    if parts > 1:
        found.append(f"the motion has gaps: its {parts} stretches were analysed one by one")
    if task == "gait" and 0 < len(values.get(("speed", ""), ())) < 10:
        found.append(f"{len(values['speed', ''])} strides: enough for their mean, not for their variability")
    return tuple(found)
