"""Inverse kinematics: the coordinates of an OpenSim model from measured markers.

Frames are solved in batches, not one after the other: a few anchor frames are solved from the rest pose, and the frames between
them start from interpolated coordinates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError, ModelError
from ...kinematics.linear_solvers import ActiveSet
from ...option_checks import check_arguments, check_choice
from ...osim.components import shown
from ...osim.document import OsimDocument
from ...osim.library import MODEL_TYPES, Model, as_document
from ...osim.marker_names import without_subject
from ...osim.parts import OsimCoordinate
from ...osim.placed import place_model
from ...types import BoolArray, FloatArray, Markers, OsimMotion, Progress, quiet
from .loop_rows import LoopRows
from .opensim_tool import opensim_markers, run_opensim
from .schedule import MIN_MARKERS, solve_frames
from .solver import MarkerProblem, without_idle_parts

Backend = Literal["auto", "own", "opensim"]
Limits = Literal["clamped", "all", "none"]

_LOG = logging.getLogger(__name__)
_PRIOR_M2 = 1e-6
"""Weight of the prior on the default pose, later on the anchors' poses, m^2 per rad^2 and per unit of marker weight: a radian
costs as much as 1 mm at one marker. It decides only what no marker shows (own choice; OpenSim leaves that at its start)."""
_OPEN_M = 1e-3
"""A constraint that is missed by more does not hold."""
_SAME_TIME_S = 1e-4
"""Times that differ by less are the same: files round them."""
_SPREAD = 8.0
"""Most that markers may be larger or smaller than the model's: posture explains a factor of 3, a wrong unit begins at 10."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MarkerErrors:
    """Distances between measured markers and those of the model."""

    names: tuple[str, ...]
    """M markers that are in both."""
    distance_m: FloatArray
    """(T, M), NaN where a marker was not seen."""

    @property
    def rms_m(self) -> float:
        """Root mean square over all frames and markers."""
        return float(np.sqrt(np.nanmean(self.distance_m**2)))

    @property
    def worst(self) -> tuple[str, float]:
        """Name of the marker with the largest root mean square distance, and that distance in m."""
        seen = np.isfinite(self.distance_m)
        squares = np.where(seen, self.distance_m, 0) ** 2
        rms = np.sqrt(squares.sum(axis=0) / np.maximum(seen.sum(axis=0), 1))
        index = int(np.argmax(rms))
        return self.names[index], float(rms[index])


def inverse_kinematics(
    markers: Markers,
    model: Model,
    *,
    weights: Mapping[str, float] | None = None,
    locked: Mapping[str, float] | Sequence[str] = (),
    limits: Limits = "clamped",
    backend: Backend = "auto",
    progress: Progress = quiet,
) -> OsimMotion:
    """Estimate the coordinates of a model from measured markers, frame by frame.

    Minimises the weighted sum of squared distances between the measured markers and the model's. Markers are matched by name;
    those of only one side are ignored. In a frame without a marker the coordinates are interpolated.

    Args:
        markers: measured, in the model's ground axes (y up).
        model: the model with its markers: a document, a subject or a file.
        weights: marker name -> weight, 1 by default; 0 leaves a marker out.
        locked: coordinates that keep their default, or coordinate -> value (rad, m). The model's own locked ones always do.
        limits: ranges that hold: those that the model clamps (as OpenSim does), all rotational ones, or none.
        backend: ``"own"``, ``"opensim"`` for OpenSim's own tool (20 to 40 times slower), or ``"auto"``: our solver, but
            OpenSim's for joints that cannot be evaluated here and constraints that only OpenSim holds; the log says so.
        progress: called with the number of frames that are done.

    Returns:
        All coordinates of the model, those of coupled kneecaps too; angles are continuous in time.

    Raises:
        InputError: fewer than three markers have a counterpart, an unknown name, or a bad weight.
        ModelError: with ``backend="own"``, a joint that cannot be evaluated or a constraint that only OpenSim holds.
        UnknownCoordinateError: a locked coordinate that the model lacks.

    Source:
        The same objective as OpenSim's InverseKinematicsTool; Lu and O'Connor 1999, J Biomech 32:129.
    """
    check_arguments("inverse_kinematics(markers, model)", markers=(markers, Markers), model=(model, MODEL_TYPES))
    check_choice("backend", backend, get_args(Backend))
    check_choice("limits", limits, get_args(Limits))
    document, weights = as_document(model), weights or {}
    markers = without_subject(markers, document.markers)
    names = matched_markers(markers, document, weights)
    fixed = _locked_values(document, locked)
    reason = None if backend == "opensim" else why_opensim(document)
    if reason is not None and backend == "own":
        raise ModelError(f"{reason}. OpenSim's own tool does it: backend='opensim' (--backend opensim)")
    if reason is not None:
        _LOG.warning("solved by OpenSim's own tool, 20 to 40 times slower: %s", reason)
    if reason is not None or backend == "opensim":
        return run_opensim(markers, document, names, weights, fixed, limits)
    problem = _problem(markers, document, names, weights, fixed, limits)
    bounds = _bounds(document, fixed, limits)
    q = solve_frames(problem, markers.time_s, bounds, _usual(document, problem, bounds), progress)
    values = document.couple(_centred(q, problem.periodic.numpy()))
    _report_open_loops(problem, values)
    rotational = np.asarray(document.rotational)
    return OsimMotion(time_s=markers.time_s, coordinates=tuple(document.coordinates), values_si=values, rotational=rotational)


def _report_open_loops(problem: MarkerProblem, values: FloatArray) -> None:
    """Warn of a constraint that does not hold: the ranges of the coordinates forbid it, or no posture closes the loop."""
    if problem.loops is not None:
        name, gap_m = problem.loops.worst(problem.tree.forward(values))
        if gap_m > _OPEN_M:
            _LOG.warning(
                "%s is missed by up to %.1f mm: no posture within the ranges fits it and the markers", name, 1000 * gap_m
            )


def why_opensim(document: OsimDocument) -> str | None:
    """Say why only OpenSim solves a model; None if our solver does.

    Raises:
        ModelError: the model is damaged.
    """
    _ = document.coordinates, document.markers, document.constraints
    try:
        document.tree()
        _ = document.constraints.couplings
    except ModelError as error:
        return str(error)
    others = document.constraints.others
    return None if not others else f"only OpenSim holds {shown(', '.join(others))}"


def marker_errors(motion: OsimMotion, model: Model, markers: Markers) -> MarkerErrors:
    """Measure the distances between the model's markers and the measured ones.

    Args:
        motion: T frames at the same times; coordinates that are missing keep their default.
        model: the model with its markers: a document, a subject or a file.
        markers: T frames, in the model's ground axes.

    Returns:
        The distances of the markers that are in both.

    Raises:
        InputError: the times differ, or fewer than three markers have a counterpart.
        UnknownCoordinateError: a coordinate of the motion that the model lacks.
    """
    check_arguments(
        "marker_errors(motion, model, markers)",
        motion=(motion, OsimMotion),
        model=(model, MODEL_TYPES),
        markers=(markers, Markers),
    )
    document = as_document(model)
    if len(motion.time_s) != len(markers.time_s) or np.abs(motion.time_s - markers.time_s).max() > _SAME_TIME_S:
        raise InputError("motion and markers must have the same times to be compared: cut or resample one of them first")
    markers = without_subject(markers, document.markers)
    names = matched_markers(markers, document, {})
    measured = markers.positions_m[:, [markers.names.index(name) for name in names]]
    return MarkerErrors(names=names, distance_m=np.linalg.norm(_model_markers(motion, document, names) - measured, axis=-1))


def _model_markers(motion: OsimMotion, document: OsimDocument, names: tuple[str, ...]) -> FloatArray:
    """(T, M, 3) markers of the model, m in ground; by OpenSim if a joint of the model cannot be evaluated here."""
    try:
        document.tree()
    except ModelError:
        return opensim_markers(motion, document, names)
    _refuse_in_ground(document, names)
    return place_model(motion, document).markers(*names)


def matched_markers(markers: Markers, document: OsimDocument, weights: Mapping[str, float]) -> tuple[str, ...]:
    """Choose the markers that are measured at least once, are in the model, and have a positive weight.

    Args:
        markers: measured.
        document: the model.
        weights: marker name -> weight, 1 by default.

    Returns:
        Their names, in the order of ``markers``.

    Raises:
        InputError: fewer than three, or a weight that is negative or for an unknown marker.
    """
    for name, weight in weights.items():
        if name not in markers.names and name not in document.markers:
            near = shown(", ".join(get_close_matches(name, markers.names, n=3) or markers.names[:4]))
            raise InputError(
                f"a weight is given for marker {shown(name)!r}, neither measured nor in the model (closest: {near})"
            )
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"the weight of marker {name!r} must be 0 or larger, got {weight}")
    seen: BoolArray = np.asarray(np.isfinite(markers.positions_m).all(axis=-1).any(axis=0))
    names = tuple(
        name
        for name, visible in zip(markers.names, seen, strict=True)
        if visible and name in document.markers and weights.get(name, 1.0) > 0
    )
    if len(names) < MIN_MARKERS:
        raise InputError(
            f"only {len(names)} of the {len(markers.names)} measured markers have a counterpart in model "
            f"{shown(document.name)!r} (measured: {shown(', '.join(markers.names[:4]))} ...; "
            f"model: {shown(', '.join(list(document.markers)[:4]))} ...): markers are matched by name, rename them in one file"
        )
    return names


def _locked_values(document: OsimDocument, locked: Mapping[str, float] | Sequence[str]) -> dict[str, float]:
    """Coordinate -> value (rad, m) of the locked ones, the model's own included."""
    values = {c.name: c.default_si for c in document.coordinates.values() if c.locked}
    given = locked if isinstance(locked, Mapping) else dict.fromkeys(locked)
    for name, value in given.items():
        values[name] = document.coordinate(name).default_si if value is None else float(value)
    return values


def _on_bodies(document: OsimDocument, bodies: Sequence[str], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Body (P,) of each marker and its position there (P, 3), m."""
    _refuse_in_ground(document, names)
    markers = [document.markers[name] for name in names]
    index = torch.tensor([bodies.index(marker.body) for marker in markers])
    return index, torch.as_tensor(np.array([marker.position_m for marker in markers]))


def _refuse_in_ground(document: OsimDocument, names: Sequence[str]) -> None:
    if on_ground := [name for name in names if document.markers[name].body not in document.bodies]:
        raise ModelError(f"markers that no joint moves: {', '.join(on_ground)}; give them the weight 0")


def _problem(
    markers: Markers,
    document: OsimDocument,
    names: tuple[str, ...],
    weights: Mapping[str, float],
    fixed: Mapping[str, float],
    limits: Limits,
) -> MarkerProblem:
    """The least-squares problem of the named markers."""
    tree = document.tree()
    bodies, local_m = _on_bodies(document, tree.bodies, names)
    measured = markers.positions_m[:, [markers.names.index(name) for name in names]]
    seen: BoolArray = np.asarray(np.isfinite(measured).all(axis=-1))
    dependent = [tree.index(name) for name in document.dependent]
    moves_markers = bool(tree.ancestors[bodies][:, dependent].any())
    weight = np.array([weights.get(name, 1.0) for name in names])
    _check_unit(measured, tree.forward(document.couple(document.default_si)).points(bodies, local_m).numpy())
    loops = document.constraints.loops
    ends = [tree.bodies.index(name) for loop in loops for name in (loop.body, loop.other) if name in tree.bodies]
    tree, kept = without_idle_parts(tree, [*bodies.tolist(), *ends])
    bodies = kept[: len(bodies)]
    rest = document.default_si.copy()
    for name, value in fixed.items():
        rest[tree.index(name)] = value
    prior = np.full(len(rest), _PRIOR_M2 * weight.mean())
    prior[tree.ancestors[0].numpy()] = 0.0  # the root goes where the markers are
    prior[dependent] = 0.0
    return MarkerProblem(
        tree=tree,
        bodies=bodies,
        local_m=local_m,
        targets_m=torch.as_tensor(np.nan_to_num(np.where(seen[..., None], measured, 0.0))),
        weights=torch.as_tensor(seen * weight),
        rest=torch.as_tensor(rest).expand(len(seen), -1),
        prior=torch.as_tensor(prior),
        couplings=document.constraints.couplings if moves_markers or loops else (),
        loops=LoopRows.of(loops, tree) if loops else None,
        periodic=torch.tensor([c.rotational and not _bounded(c, limits) for c in document.coordinates.values()]),
    )


def _check_unit(measured_m: FloatArray, model_m: FloatArray) -> None:
    """Refuse markers (T, M, 3) that spread far more or less than the model's (M, 3): no pose explains that."""
    complete = measured_m[np.isfinite(measured_m).all(axis=(1, 2))]
    if not len(complete):
        return
    spread = float(np.median(np.ptp(complete, axis=1).max(axis=1)))
    expected = float(np.ptp(model_m, axis=0).max())
    if not 1 / _SPREAD <= spread / expected <= _SPREAD:
        raise InputError(
            f"the markers of a frame spread over {spread:.3g} m, those of the model over {expected:.3g} m: "
            "the unit of one of the files is wrong (a header that says m over values in mm?)"
        )


def _bounds(document: OsimDocument, fixed: Mapping[str, float], limits: Limits) -> ActiveSet:
    """Hard bounds of the coordinates; locked and coupled ones are not free."""
    ranges = document.ranges_si.copy()
    for index, coordinate in enumerate(document.coordinates.values()):
        if not _bounded(coordinate, limits):
            ranges[index] = -np.inf, np.inf
        low, high = ranges[index]
        if low > high:
            raise ModelError(f"coordinate {coordinate.name!r} has a lower limit above the upper one: {low:g} and {high:g}")
    free = np.array([name not in fixed and name not in document.dependent for name in document.coordinates])
    return ActiveSet(torch.as_tensor(ranges[:, 0]), torch.as_tensor(ranges[:, 1]), torch.as_tensor(free))


def _usual(document: OsimDocument, problem: MarkerProblem, bounds: ActiveSet) -> ActiveSet:
    """Bounds of the anchors: those of the frames, and the ranges that the model does not clamp, but for the root's.

    They select one of the several ways to write the same pose; the frames between the anchors may leave them.
    """
    ranges = document.ranges_si.copy()
    usable = document.rotational & (ranges[:, 0] < ranges[:, 1]) & ~problem.tree.ancestors[0].numpy()
    usable &= (ranges[:, 0] <= document.default_si) & (document.default_si <= ranges[:, 1])
    ranges[~usable] = -np.inf, np.inf
    lower, upper = torch.as_tensor(ranges[:, 0]), torch.as_tensor(ranges[:, 1])
    return replace(bounds, lower=torch.maximum(bounds.lower, lower), upper=torch.minimum(bounds.upper, upper))


def _bounded(coordinate: OsimCoordinate, limits: Limits) -> bool:
    """Whether the range of a coordinate holds."""
    return limits != "none" and (coordinate.clamped or (limits == "all" and coordinate.rotational))


def _centred(q: FloatArray, periodic: BoolArray) -> FloatArray:
    """(T, N) coordinates with the median of each unbounded angle within half a turn of zero."""
    out = q.copy()
    out[:, periodic] -= 2 * np.pi * np.round(np.median(out[:, periodic], axis=0) / (2 * np.pi))
    return out
