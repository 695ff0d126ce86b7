"""The main path: one video in, OpenSim files and a report out. Read this first."""

from __future__ import annotations

import glob
import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..body import Body, load_body
from ..checks.check_motion import CheckReport, check_motion
from ..checks.measures import gaps
from ..dynamics.checks import check_dynamics
from ..dynamics.inverse_dynamics import InverseDynamics, inverse_dynamics
from ..dynamics.results import write_dynamics
from ..dynamics.setup_files import write_id_setup, write_ik_setup
from ..errors import EstimationError, FormatError, InputError
from ..estimators import EstimateOptions, get_estimator
from ..estimators.quality import refuse_moving_camera
from ..fitting.video.fit_motion import fit_motion
from ..fitting.video.keypoints import FitOptions
from ..fitting.world.gravity import GroundOptions
from ..fitting.world.ground import to_world
from ..fitting.world.smoothing import seen_frames, steady
from ..io.atomic import new_folder, refuse_existing, refuse_unwritable
from ..io.mot import write_mot
from ..io.npz import load_observation, save_motion, save_observation
from ..io.trc import write_trc
from ..kinematics.threads import one_blas_thread
from ..mapping import to_coordinates, virtual_markers
from ..osim.document import OsimDocument
from ..osim.geometry import write_geometry
from ..osim.twin import twin_model
from ..report import ReportInputs, model_skeleton, write_report
from ..report.pictures import pictures
from ..scaling import JointShapes, scale_model, write_scale_set
from ..types import Markers, Observation, OsimMotion, Progress, Sex, SkelMotion, Subject, quiet

LEAST_FREE_BYTES = 16_000_000
"""Free space below which the work is not begun: the files of a short clip take half of it."""


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """What becomes of a motion: the subject, the filter, the files."""

    height_m: float | None = None
    """Body height; None: that of the shape (one camera does not see size)."""
    mass_kg: float | None = None
    """Body mass; None: volume of the skin times the body's density."""
    model: Literal["bsm", "twin"] = "bsm"
    joints: JointShapes = "bsm"
    """Knees of the BSM model: BSM's, which roll and turn inwards as they bend, or hinges, which follow SKEL motion exactly."""
    cutoff_hz: float | None = 6.0
    """Low-pass of the angles; None: off. 6 Hz is usual for walking (Winter 2009)."""
    dynamics: bool = False
    """Also estimate the ground reaction and solve for joint moments."""
    overwrite: bool = False
    name: str | None = None
    """Of the files; None: that of the input."""


@dataclass(frozen=True, kw_only=True)
class Image2MotOptions(ResultOptions):
    """Everything that ``image2mot`` can be told; the defaults need nothing from the user."""

    estimator: str = "blazepose"
    body: str = "open"
    sex: Sex = "neutral"
    estimate: EstimateOptions = field(default_factory=EstimateOptions)
    ground: GroundOptions = field(default_factory=GroundOptions)
    refine: bool = False
    """Of the estimator ``hsmr``: let the landmarks of the built-in estimator correct the network's prediction, in one fit."""
    people: bool = False
    """Follow everybody, not only the most prominent person; person 2 is written as ``NAME_p2``."""
    moving_camera: bool = False
    """Go on although the camera moves; the world is then wrong where it does."""
    save_observation: bool = False
    """Keep what the estimator saw (and a few small pictures) as ``NAME_observation.npz``, for the estimator ``replay``."""

    def __post_init__(self) -> None:
        needs_hsmr = {"refine": self.refine, "checkpoint": self.estimate.checkpoint, "boxes": self.estimate.boxes}
        idle = [f"--{name}" for name, value in needs_hsmr.items() if value]
        if self.estimator == "blazepose" and idle:
            raise InputError(f"{' and '.join(idle)} would have no effect: say --estimator hsmr as well")
        pitch, roll = self.ground.camera_pitch_rad, self.ground.camera_roll_rad
        for name, angle, most in (("pitch", pitch, np.pi / 2), ("roll", roll, np.pi)):
            if angle is not None and not abs(angle) <= most:
                raise InputError(
                    f"the camera's {name} must be within {np.degrees(most):.0f} degrees, got {np.degrees(angle):g}"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """One person's results."""

    name: str
    skel: SkelMotion
    subject: Subject
    motion: OsimMotion
    markers: Markers
    checks: CheckReport
    paths: tuple[Path, ...] = ()
    """Files, once they are in place."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    observation: Observation | None = None
    dynamics: InverseDynamics | None = None
    """With ``ResultOptions.dynamics``."""


def image2mot(
    source: str | PathLike[str],
    out_dir: str | PathLike[str],
    options: Image2MotOptions | None = None,
    *,
    progress: Progress = quiet,
) -> Result | list[Result]:
    """Estimate, fit, ground, scale, map, check and write: one step a line.

    Args:
        source: a video, an image, a folder of images, or for the estimator ``replay`` a saved observation.
        out_dir: folder for the results.
        options: see :class:`Image2MotOptions`.
        progress: told about stages.

    Returns:
        The person's results; with ``options.people`` a list of them, the most prominent person first.

    Raises:
        InputError: a source or option that cannot be used, or results that exist already.
        EstimationError: nobody is seen, or the camera moves.
        MissingAssetError: a licensed file that the options ask for is not there.
    """
    options = options or Image2MotOptions()
    name = options.name or Path(source).stem.removesuffix("_observation")
    _refuse_early(Path(out_dir), name, options)
    body = load_body(options.body, options.sex)
    timer = _Timer()
    memory = _Memory(Path(out_dir), name, source, options)
    with _naming(source):
        observations = memory.recall() or memory.keep(_observe(source, options, progress))
    timer.stop("estimate")
    with _naming(source), one_blas_thread(), new_folder(out_dir, overwrite=options.overwrite) as folder:
        results = []
        for person, observation in enumerate(observations, start=1):
            label = name if person == 1 else f"{name}_p{person}"
            motion = motion_of(observation, body, options, progress=progress)
            timer.stop("fit and ground")
            result = make_results(motion, body, options, name=label)
            timer.stop("subject, map and checks")
            if options.save_observation:
                save_observation(folder / f"{label}_observation.npz", observation)
            result = replace(result, observation=observation)
            written = write_results(folder, result, body, options, timings_s=timer.passed_s)
            timer.stop("files and report")
            results.append(replace(written, timings_s=dict(timer.passed_s)))
    memory.forget()
    done = [replace(r, paths=tuple(Path(out_dir) / path.name for path in r.paths)) for r in results]
    return done if options.people else done[0]


def motion_of(
    observation: Observation, body: Body, options: Image2MotOptions | None = None, *, progress: Progress = quiet
) -> SkelMotion:
    """From what was seen to a motion in the world: fit, ground, constant rate, filter.

    Raises:
        EstimationError: too little is seen, or the camera moves.
    """
    options = options or Image2MotOptions()
    seen = seen_frames(observation)
    if not options.moving_camera:
        refuse_moving_camera(seen)
    predicted = seen.skel_poses_rad is not None  # grounding then keeps the fit's deviations; else it finds its own
    how = FitOptions(height_m=options.height_m, refine=options.refine, deviations=predicted)
    world = to_world(fit_motion(seen, body, how, progress=progress), body, options.ground, progress=progress)
    return steady(world, cutoff_hz=usable_cutoff(world, options.cutoff_hz))


def make_results(motion: SkelMotion, body: Body, options: ResultOptions | None = None, *, name: str = "motion") -> Result:
    """From a world motion to a scaled model, its coordinates, its markers and the checks; nothing is written.

    Raises:
        InputError: the motion belongs to another body, or mass and height are no person's.
    """
    options = options or ResultOptions()
    scale = twin_model if options.model == "twin" else partial(scale_model, joints=options.joints)
    subject = scale(body, motion.betas, mass_kg=options.mass_kg, height_m=options.height_m, name=name)
    coordinates = to_coordinates(motion, subject, body)
    markers = virtual_markers(subject, coordinates)
    checks = check_motion(coordinates, subject, skel=motion)
    forces: InverseDynamics | None = None
    if options.dynamics:
        forces = inverse_dynamics(subject, coordinates, "estimate", cutoff_hz=options.cutoff_hz, contacts=motion.contacts)
        checks = replace(checks, checks=(*checks.checks, *check_dynamics(forces).checks))
    return Result(name=name, skel=motion, subject=subject, motion=coordinates, markers=markers, checks=checks, dynamics=forces)


def write_results(
    folder: str | PathLike[str],
    result: Result,
    body: Body,
    options: ResultOptions | None = None,
    *,
    timings_s: Mapping[str, float] | None = None,
) -> Result:
    """Write one person's files into a folder: model, geometry, motion, markers, SKEL motion, setups, report.

    Args:
        folder: where; the caller makes it appear at once (``io.atomic.new_folder``).
        result: from :func:`make_results`.
        body: whose bones are drawn.
        options: as for :func:`make_results`.
        timings_s: for the report.

    Returns:
        The result with the paths of its files.
    """
    options = options or ResultOptions()
    out, name, motion, subject = Path(folder), result.name, result.motion, result.subject
    length = subject.stature_m / body.stature_m(subject.betas)
    (out / f"{name}.osim").write_bytes(subject.osim_xml)
    write_geometry(out / "Geometry", body, subject.betas, prefix=name, length_factor=length)
    document = OsimDocument.from_bytes(subject.osim_xml, source=f"{name}.osim")
    write_mot(out / f"{name}.mot", motion)
    write_trc(out / f"{name}.trc", result.markers)
    save_motion(out / f"{name}_skel.npz", result.skel)
    write_scale_set(out / f"{name}_scale_set.xml", subject)
    span = float(motion.time_s[0]), float(motion.time_s[-1])
    if span[1] > span[0]:
        setups = (
            ("setup_ik.xml", "setup_id.xml")
            if not name.endswith(tuple(f"_p{i}" for i in range(2, 10)))
            else (
                f"{name}_setup_ik.xml",
                f"{name}_setup_id.xml",
            )
        )
        files = {"model_file": f"{name}.osim", "time_range_s": span}
        joints = [n for n in motion.coordinates if not n.startswith("pelvis_")]
        pull: dict[str, Any] = {"coordinate_file": f"{name}.mot", "coordinates": joints}
        write_ik_setup(out / setups[0], marker_file=f"{name}.trc", markers=result.markers.names, **pull, **files)  # type: ignore[arg-type]
        if result.dynamics is None:
            cutoff_hz = usable_cutoff(motion, options.cutoff_hz)
            write_id_setup(out / setups[1], motion_file=f"{name}.mot", cutoff_hz=cutoff_hz, **files)  # type: ignore[arg-type]
        else:
            model, coordinates = f"{name}.osim", f"{name}.mot"
            write_dynamics(out, result.dynamics, name=name, model_file=model, motion_file=coordinates, setup_file=setups[1])
    _report(out, result, document, options, timings_s or {})
    paths = sorted(p for p in out.iterdir() if p.is_file() and (p.name.startswith(f"{name}") or "setup" in p.name))
    return replace(result, paths=tuple(paths))


def _report(
    out: Path,
    result: Result,
    document: OsimDocument,
    options: ResultOptions,
    timings_s: Mapping[str, float],
) -> None:
    joints, names, bones = model_skeleton(document, result.motion)
    thumbnails = () if result.observation is None else result.observation.thumbnails
    inputs = ReportInputs(
        name=result.name,
        checks=result.checks,
        motion=result.motion,
        ranges_si={name: document.coordinates[name].range_si for name in result.motion.coordinates},
        joints_m=joints,
        joint_names=names,
        bones=bones,
        subject=result.subject,
        skel=result.skel,
        dynamics=result.dynamics,
        frames=pictures(thumbnails, result.skel, np.asarray(result.motion.time_s), joints),
        assumptions=assumptions(result, options),
        timings_s=timings_s,
        files=tuple(sorted(p.name for p in out.iterdir() if p.is_file())),
    )
    write_report(out / f"{result.name}_report.html", out / f"{result.name}_report.json", inputs)


def assumptions(result: Result, options: ResultOptions) -> dict[str, Any]:
    """What was assumed, and where each assumption came from."""
    skel, subject = result.skel, result.subject
    cutoff_hz = usable_cutoff(skel, options.cutoff_hz)
    found: dict[str, Any] = {
        "body": f"{skel.body} (betas {', '.join(f'{b:.2f}' for b in skel.betas)})",
        "stature": f"{subject.stature_m:.3f} m, "
        + ("given" if options.height_m is not None else "the population's mean: one camera does not see size"),
        "mass": f"{subject.mass_kg:.1f} kg, from {subject.mass_source}",
        "filter": "none" if cutoff_hz is None else f"zero-lag low-pass at {cutoff_hz:g} Hz",
    }
    time_s = np.asarray(skel.time_s)
    holes = [f"{time_s[i]:.2f} to {time_s[i + 1]:.2f} s" for i in np.flatnonzero(gaps(time_s))]
    if holes:
        found["gaps"] = f"the person was not seen from {', '.join(holes)}: left out, not invented"
    if skel.camera is not None:
        found["camera"] = f"focal length {skel.camera.focal_px:.0f} px ({skel.camera.source})"
    if (ground := skel.ground) is not None:
        found["gravity"] = (
            f"camera pitch {np.degrees(ground.camera_pitch_rad):.1f} deg ({ground.pitch_source}), "
            f"roll {np.degrees(ground.camera_roll_rad):.1f} deg ({ground.roll_source})"
        )
        found["floor"] = f"camera {ground.camera_height_m:.2f} m above it; feet stand in {ground.standing_share:.0%} of frames"
    return found


def _observe(source: str | PathLike[str], options: Image2MotOptions, progress: Progress) -> list[Observation]:
    estimator = get_estimator(options.estimator)
    if options.people:
        return list(estimator.estimate_people(source, options.estimate, progress=progress))
    return [estimator.estimate(source, options.estimate, progress=progress)]


@contextmanager
def _naming(source: str | PathLike[str]) -> Iterator[None]:
    """Put the source's name before errors of stations that do not know it."""
    try:
        yield
    except EstimationError as error:
        if str(Path(source)) in str(error):
            raise
        raise EstimationError(f"{Path(source)}: {error}") from error


def _refuse_early(out: Path, name: str, options: ResultOptions) -> None:
    """Stop before the work if the results could not be written at the end."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give the name of a folder for the results")
    refuse_existing([out / f"{name}{ending}" for ending in (".osim", ".mot", ".trc")], overwrite=options.overwrite)
    refuse_unwritable(out, need_bytes=LEAST_FREE_BYTES)


def usable_cutoff(motion: SkelMotion | OsimMotion, cutoff_hz: float | None) -> float | None:
    """The cutoff; none for a still, and none where the rate is too low for it."""
    if cutoff_hz is not None and np.isnan(cutoff_hz):
        raise InputError("the cutoff must be a frequency in Hz, or None for no filter, got nan")
    if cutoff_hz is None or len(motion.time_s) < 2:
        return None
    rate_hz = 1 / float(np.median(np.diff(motion.time_s)))
    return cutoff_hz if cutoff_hz < rate_hz / 2 else None


_DIGEST = 12


class _Memory:
    """What the estimator saw, kept in hidden files until the results are written: an interrupted run goes on from there."""

    def __init__(self, out: Path, name: str, source: str | PathLike[str], options: Image2MotOptions) -> None:
        facts = [options.estimator, options.estimate, options.people, options.refine]
        path = Path(source)
        if path.is_file():
            facts += [path.resolve(), path.stat().st_size, path.stat().st_mtime_ns]
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:_DIGEST]
        self._folder, self._name, self._prefix = out, name, f".{name}.{digest}."
        self._worth = path.is_file() and options.estimator != "replay"

    def recall(self) -> list[Observation]:
        """The observations of an interrupted run on the same source with the same options; none if there are none."""
        if not self._worth:
            return []
        try:
            return [load_observation(path) for path in self._files()]
        except FormatError:
            return []

    def keep(self, observations: list[Observation]) -> list[Observation]:
        """Store them."""
        if self._worth:
            self._folder.mkdir(parents=True, exist_ok=True)
            for person, observation in enumerate(observations):
                save_observation(self._folder / f"{self._prefix}{person:03d}.npz", observation)
        return observations

    def forget(self) -> None:
        """Remove them, and those of runs with other options that nobody went on with: the results are written."""
        for path in self._folder.glob(f".{glob.escape(self._name)}.{'?' * _DIGEST}.???.npz"):
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{glob.escape(self._prefix)}*.npz"))


class _Timer:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.passed_s: dict[str, float] = {}
        self._since = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Book the time since the last stop on a stage."""
        now = time.perf_counter()
        self.passed_s[stage] = self.passed_s.get(stage, 0.0) + now - self._since
        self._since = now
