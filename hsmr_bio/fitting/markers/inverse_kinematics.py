"""Inverse kinematics: measured markers -> coordinates of any model whose joints can be evaluated.

Frames are solved side by side, not one after the other. A few anchor frames are solved from the rest pose; the
frames between them start from interpolated coordinates, so that all of them can be solved in one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import InputError, ModelError
from ...option_checks import check_arguments
from ...osim.document import OsimDocument
from ...osim.library import MODEL_TYPES, Model, as_document
from ...osim.parts import OsimCoordinate
from ...types import BoolArray, FloatArray, Markers, OsimMotion, Progress, quiet

if TYPE_CHECKING:
    from ...kinematics.linear_solvers import ActiveSet
    from .solver import MarkerProblem

Backend = Literal["own", "opensim"]

_PRIOR_M2 = 1e-6
"""Pull towards the default pose, later towards the anchors' poses, m^2 per rad^2 and per unit of marker weight: a radian
costs as much as 1 mm at one marker. It decides only what no marker sees (own choice; OpenSim leaves that where it was)."""
_ANCHOR_STEP_S = 0.15
"""Between anchors no joint turns so far that interpolation misleads (own choice: a sprinter's knee turns 1.5 rad)."""
_CHUNK = 1024
_JUMP_RAD = 1.0
"""A turn between anchors that makes us look for a nearer solution: another way to write a rotation is far away."""
_FRAME_JUMP_RAD = 0.8
_MIN_MARKERS = 3
_SPREAD = 8.0
"""Times larger or smaller than the model that a set of markers may be: posture explains 3, a wrong unit begins at 10."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MarkerErrors:
    """Distances between measured markers and the model's."""

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
        """The marker with the largest root mean square distance, and that distance in metres."""
        with np.errstate(invalid="ignore"):
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
    limits: Literal["clamped", "all", "none"] = "clamped",
    backend: Backend = "own",
    progress: Progress = quiet,
) -> OsimMotion:
    """Find the coordinates that bring a model's markers closest to the measured ones, frame by frame.

    Minimises the weighted sum of squared marker distances. Markers are matched by name; those of only one side are
    ignored. In a frame without a marker the coordinates are interpolated.

    Args:
        markers: measured, in the model's ground axes (y up).
        model: the model with its markers: a document, a subject or a file.
        weights: marker name -> weight, 1 by default; 0 leaves a marker out.
        locked: coordinates that keep their default, or coordinate -> value (rad, m). The model's own locked ones always do.
        limits: ranges that hold: those that the model clamps (as OpenSim does), all rotational ones, or none.
        backend: ``"own"``, or ``"opensim"`` for OpenSim's own tool: 20 to 40 times slower, for models with joints that cannot
            be evaluated here, and for comparison.
        progress: told how many frames are done.

    Returns:
        All coordinates of the model, those of coupled kneecaps too; angles are continuous in time.

    Raises:
        InputError: fewer than three markers have a counterpart, an unknown name, or a bad weight.
        ModelError: a joint that cannot be evaluated (use ``backend="opensim"``).
        UnknownCoordinateError: a locked coordinate that the model lacks.

    Source:
        The same objective as OpenSim's InverseKinematicsTool; Lu and O'Connor 1999, J Biomech 32:129.
    """
    check_arguments("inverse_kinematics(markers, model)", markers=(markers, Markers), model=(model, MODEL_TYPES))
    document = as_document(model)
    names = matched_markers(markers, document, weights)
    fixed = _locked_values(document, locked)
    if backend == "opensim":
        from .opensim_tool import run_opensim

        return run_opensim(markers, document, names, weights or {}, fixed, limits)
    if backend != "own":
        raise InputError(f"backend must be 'own' or 'opensim', got {backend!r}")
    try:
        problem = _problem(markers, document, names, weights or {}, fixed, limits)
    except ModelError as error:
        raise ModelError(f"{error}. OpenSim's own tool may do it: backend='opensim' (--backend opensim)") from error
    bounds = _bounds(document, fixed, limits)
    q = _solve_all(problem, markers.time_s, bounds, _usual(document, problem, bounds), progress)
    values = document.couple(_centred(q, np.asarray(problem.periodic)))
    rotational = np.asarray(document.rotational)
    return OsimMotion(time_s=markers.time_s, coordinates=tuple(document.coordinates), values_si=values, rotational=rotational)


def marker_errors(motion: OsimMotion, model: Model, markers: Markers) -> MarkerErrors:
    """Measure how far the model's markers are from the measured ones.

    Args:
        motion: T frames at the same times; coordinates that are missing keep their default.
        model: the model.
        markers: T frames.

    Raises:
        InputError: the times differ, or no marker has a counterpart.
    """
    check_arguments(
        "marker_errors(motion, model, markers)",
        motion=(motion, OsimMotion),
        model=(model, MODEL_TYPES),
        markers=(markers, Markers),
    )
    document = as_document(model)
    if len(motion.time_s) != len(markers.time_s) or np.abs(motion.time_s - markers.time_s).max() > 1e-4:
        raise InputError("motion and markers must have the same times to be compared: cut or resample one of them first")
    names = matched_markers(markers, document, None)
    for name in motion.coordinates:
        document.coordinate(name)
    measured = markers.positions_m[:, [markers.names.index(name) for name in names]]
    return MarkerErrors(names=names, distance_m=np.linalg.norm(_places(motion, document, names) - measured, axis=-1))


def _places(motion: OsimMotion, document: OsimDocument, names: tuple[str, ...]) -> FloatArray:
    """(T, M, 3) markers of the model; by OpenSim if a joint of the model cannot be evaluated here."""
    import torch

    try:
        tree = document.tree()
    except ModelError:
        from .opensim_tool import opensim_places

        return opensim_places(motion, document, names)
    values = np.repeat(document.default_si[None], len(motion.time_s), axis=0)
    for column, name in enumerate(motion.coordinates):
        values[:, tree.index(name)] = motion.values_si[:, column]
    bodies, local = _placed(document, tree.bodies, names)
    with torch.no_grad():
        return np.asarray(tree.forward(values).points(bodies, torch.as_tensor(local)).numpy())


def matched_markers(markers: Markers, document: OsimDocument, weights: Mapping[str, float] | None) -> tuple[str, ...]:
    """Names of the markers that are measured at least once, in the model, and have a positive weight.

    Raises:
        InputError: fewer than three, or a weight that is negative or for an unknown marker.
    """
    for name, weight in (weights or {}).items():
        if name not in markers.names and name not in document.markers:
            near = get_close_matches(name, markers.names, n=3) or markers.names[:4]
            raise InputError(
                f"a weight is given for marker {name!r}, neither measured nor in the model (closest: {', '.join(near)})"
            )
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"the weight of marker {name!r} must be 0 or larger, got {weight}")
    seen: BoolArray = np.asarray(np.isfinite(markers.positions_m).all(axis=-1).any(axis=0))
    names = tuple(
        name
        for name, visible in zip(markers.names, seen, strict=True)
        if visible and name in document.markers and (weights or {}).get(name, 1.0) > 0
    )
    if len(names) < _MIN_MARKERS:
        raise InputError(
            f"only {len(names)} of the {len(markers.names)} measured markers have a counterpart in model {document.name!r} "
            f"(measured: {', '.join(markers.names[:4])} ...; model: {', '.join(list(document.markers)[:4])} ...): "
            "markers are matched by name, rename them in one of the files"
        )
    return names


def _locked_values(document: OsimDocument, locked: Mapping[str, float] | Sequence[str]) -> dict[str, float]:
    values = {c.name: c.default_si for c in document.coordinates.values() if c.locked}
    given = locked if isinstance(locked, Mapping) else dict.fromkeys(locked)
    for name, value in given.items():
        values[name] = document.coordinate(name).default_si if value is None else float(value)
    return values


def _placed(document: OsimDocument, bodies: Sequence[str], names: Sequence[str]) -> tuple[Any, FloatArray]:
    """Body indices (P,) as a tensor and places on the bodies (P, 3)."""
    import torch

    markers = [document.markers[name] for name in names]
    on_ground = [marker.name for marker in markers if marker.body not in bodies]
    if on_ground:
        raise ModelError(f"markers that no joint moves: {', '.join(on_ground)}; give them the weight 0")
    index = torch.tensor([bodies.index(marker.body) for marker in markers])
    return index, np.array([marker.position_m for marker in markers])


def _problem(
    markers: Markers,
    document: OsimDocument,
    names: tuple[str, ...],
    weights: Mapping[str, float],
    fixed: Mapping[str, float],
    limits: str,
) -> MarkerProblem:
    import torch

    from .solver import MarkerProblem, without_idle_parts

    tree = document.tree()
    bodies, local = _placed(document, tree.bodies, names)
    measured = markers.positions_m[:, [markers.names.index(name) for name in names]]
    seen: BoolArray = np.asarray(np.isfinite(measured).all(axis=-1))
    dependent = [tree.index(name) for name in document.dependent]
    if tree.ancestors[bodies][:, dependent].any():
        raise ModelError(
            f"markers sit on bodies that the coupled coordinates {', '.join(document.dependent)} move; "
            "give those markers the weight 0"
        )
    weight = np.array([weights.get(name, 1.0) for name in names])
    _check_unit(measured, tree.forward(document.default_si).points(bodies, torch.as_tensor(local)).numpy())
    tree, bodies = without_idle_parts(tree, bodies.tolist())
    rest = document.default_si.copy()
    for name, value in fixed.items():
        rest[tree.index(name)] = value
    prior = np.full(len(rest), _PRIOR_M2 * weight.mean())
    prior[tree.ancestors[0].numpy()] = 0.0  # the root goes where the markers are
    return MarkerProblem(
        tree=tree,
        bodies=bodies,
        local_m=torch.as_tensor(local),
        targets_m=torch.as_tensor(np.nan_to_num(np.where(seen[..., None], measured, 0.0))),
        weights=torch.as_tensor(seen * weight),
        rest=torch.as_tensor(rest).expand(len(seen), -1),
        prior=torch.as_tensor(prior),
        periodic=torch.as_tensor(_periodic(document, limits)),
    )


def _check_unit(measured_m: FloatArray, model_m: FloatArray) -> None:
    """Refuse markers that spread far more or less than the model's own ones: no pose explains that."""
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


def _bounds(document: OsimDocument, fixed: Mapping[str, float], limits: str) -> ActiveSet:
    import torch

    from ...kinematics.linear_solvers import ActiveSet

    if limits not in ("clamped", "all", "none"):
        raise InputError(f"limits must be 'clamped', 'all' or 'none', got {limits!r}")
    ranges = document.ranges_si.copy()
    names = list(document.coordinates)
    for index, coordinate in enumerate(document.coordinates.values()):
        if not _bounded(coordinate, limits):
            ranges[index] = -np.inf, np.inf
        low, high = ranges[index]
        if low > high:
            raise ModelError(f"coordinate {coordinate.name!r} has its range upside down: {low:g} to {high:g}")
    free = np.array([name not in fixed and name not in document.dependent for name in names])
    return ActiveSet(torch.as_tensor(ranges[:, 0]), torch.as_tensor(ranges[:, 1]), torch.as_tensor(free))


def _usual(document: OsimDocument, problem: MarkerProblem, bounds: ActiveSet) -> ActiveSet:
    """Bounds for the anchors: also the ranges that the model does not clamp, but the root's.

    They keep the anchors on one of the several ways to write the same pose. The frames themselves may leave them.
    """
    import torch

    ranges = document.ranges_si.copy()
    usable = document.rotational & (ranges[:, 0] < ranges[:, 1]) & ~problem.tree.ancestors[0].numpy()
    usable &= (ranges[:, 0] <= document.default_si) & (document.default_si <= ranges[:, 1])
    ranges[~usable] = -np.inf, np.inf
    lower, upper = torch.as_tensor(ranges[:, 0]), torch.as_tensor(ranges[:, 1])
    return replace(bounds, lower=torch.maximum(bounds.lower, lower), upper=torch.minimum(bounds.upper, upper))


def _solve_all(
    problem: MarkerProblem, time_s: FloatArray, bounds: ActiveSet, usual: ActiveSet, progress: Progress
) -> FloatArray:
    """(T, N) solution of every frame."""
    import torch

    from .solver import FINE, solve
    from .start import agree, anchor_frames, interpolate, solve_anchors

    anchors = anchor_frames(problem, time_s, _ANCHOR_STEP_S)
    with torch.no_grad():
        at_anchors = solve_anchors(problem, anchors, usual, jump_rad=_JUMP_RAD)
        start = interpolate(time_s, anchors, at_anchors)
        problem = replace(problem, rest=start)  # what no marker shows in a frame stays as it was around it
        parts = []
        for first in range(0, len(time_s), _CHUNK):
            frames = torch.arange(first, min(first + _CHUNK, len(time_s)))
            parts.append(solve(problem, start[frames], frames, bounds))
            progress("inverse kinematics", int(frames[-1]) + 1, len(time_s))
        q, cost = torch.cat([part.x for part in parts]), torch.cat([part.cost for part in parts])
        q, cost = agree(problem, q, cost, torch.arange(len(q)), bounds, jump_rad=_FRAME_JUMP_RAD, tolerance=FINE)
        unseen = problem.weights.sum(-1) == 0
        if bool(unseen.any()) and not bool(unseen.all()):
            q = interpolate(time_s, torch.nonzero(~unseen).flatten(), q[~unseen])
    return np.asarray(q.numpy())


def _bounded(coordinate: OsimCoordinate, limits: str) -> bool:
    return limits != "none" and (coordinate.clamped or (limits == "all" and coordinate.rotational))


def _periodic(document: OsimDocument, limits: str) -> BoolArray:
    return np.array([c.rotational and not _bounded(c, limits) for c in document.coordinates.values()])


def _centred(q: FloatArray, periodic: BoolArray) -> FloatArray:
    """Bring the median of unbounded angles within half a turn of zero; they are continuous already."""
    out = q.copy()
    out[:, periodic] -= 2 * np.pi * np.round(np.median(out[:, periodic], axis=0) / (2 * np.pi))
    return out
