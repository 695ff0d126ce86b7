"""Write one person's files: model, meshes, motion, markers, SKEL motion, setups of OpenSim's tools, dynamics, report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from ..analysis import Analysis, AnalysisOptions, analyse
from ..body import Body
from ..checks.measures import gaps
from ..dynamics.results import write_dynamics
from ..dynamics.setup_files import write_ik_setup
from ..errors import HsmrBioError
from ..io.mot import write_mot
from ..io.npz import save_motion, save_observation
from ..io.trc import write_trc
from ..osim.geometry import write_geometry
from ..osim.library import as_document
from ..report import ReportInputs, model_skeleton, write_report
from ..report.pictures import pictures
from ..scaling import write_scale_set
from .options import ResultOptions, usable_cutoff
from .results import Result

_DRAWS = 30
"""Draws for the deviations in the report: they tell them to 13 % in a few seconds; ``hsmr-bio analyse`` takes more."""
_STATURE_SD_M = 0.09
"""Standard deviation of the stature of women and men together: each 0.07 around means 0.13 apart (Gordon et al. 2014)."""


def write_results(
    folder: str | PathLike[str],
    result: Result,
    body: Body,
    options: ResultOptions,
    *,
    with_observation: bool = False,
) -> Result:
    """Write one person's files into a folder; the name of each begins with the result's name.

    Args:
        folder: existing folder, usually a temporary one (``io.atomic.new_folder``).
        result: from :func:`make_results`; its timings go into the report.
        body: the body of the result's motion, for the meshes of its bones.
        options: as for :func:`make_results`.
        with_observation: whether to write the result's observation too.

    Returns:
        The result with its analysis and the paths of its files, sorted, without the meshes (``Geometry/NAME_BODY.vtp``).
    """
    out = Path(folder)
    written = [*_model_files(out, result, body), *_motion_files(out, result, with_observation)]
    written += _setup_files(out, result)
    analysis, remarks = findings(result, options)
    result = replace(result, analysis=analysis)
    written += _report(out, result, options, written, remarks)
    return replace(result, paths=tuple(sorted(written)))


def _model_files(out: Path, result: Result, body: Body) -> Iterable[Path]:
    """Write the model, its meshes and its scale factors."""
    name, subject = result.name, result.subject
    model = out / f"{name}.osim"
    model.write_bytes(subject.osim_xml)
    length_factor = subject.stature_m / body.stature_m(subject.betas)
    write_geometry(out / "Geometry", body, subject.betas, prefix=name, length_factor=length_factor)
    return model, write_scale_set(out / f"{name}_scale_set.xml", subject)


def _motion_files(out: Path, result: Result, with_observation: bool) -> Iterable[Path]:
    """Write the coordinates, the markers, the SKEL motion and, on request, the observation."""
    name = result.name
    coordinates, markers, skel = (out / f"{name}{ending}" for ending in (".mot", ".trc", "_skel.npz"))
    write_mot(coordinates, result.motion)
    write_trc(markers, result.markers)
    save_motion(skel, result.skel)
    if result.observation is None or not with_observation:
        return coordinates, markers, skel
    observation = out / f"{name}_observation.npz"
    save_observation(observation, result.observation)
    return coordinates, markers, skel, observation


def _setup_files(out: Path, result: Result) -> Iterable[Path]:
    """Write the setups of OpenSim's tools and, if they were computed, forces and moments; nothing for a single frame.

    Inverse dynamics has a setup only with its loads: without them the tool lets the pelvis carry the body, without a word.
    """
    name, motion = result.name, result.motion
    span_s = float(motion.time_s[0]), float(motion.time_s[-1])
    if not span_s[1] > span_s[0]:
        return ()
    ik = out / f"{name}_setup_ik.xml"
    write_ik_setup(
        ik,
        model_file=f"{name}.osim",
        marker_file=f"{name}.trc",
        time_range_s=span_s,
        markers=result.markers.names,
        coordinate_file=f"{name}.mot",
        coordinates=[n for n in motion.coordinates if not n.startswith("pelvis_")],
        result_file=f"{name}_ik_opensim.mot",
    )
    if result.dynamics is None:
        return (ik,)
    return ik, *write_dynamics(out, result.dynamics, name=name, model_file=f"{name}.osim", motion_file=f"{name}.mot")


def _report(
    out: Path, result: Result, options: ResultOptions, written: Iterable[Path], remarks: tuple[str, ...]
) -> Iterable[Path]:
    """Write the report as a page and as JSON."""
    document = as_document(result.subject)
    joints_m, names, bones = model_skeleton(result.motion, document)
    thumbnails = () if result.observation is None else result.observation.thumbnails
    inputs = ReportInputs(
        name=result.name,
        checks=result.checks,
        motion=result.motion,
        ranges_si={name: document.coordinates[name].range_si for name in result.motion.coordinates},
        joints_m=joints_m,
        joint_names=names,
        bones=bones,
        subject=result.subject,
        skel=result.skel,
        dynamics=result.dynamics,
        analysis=result.analysis,
        remarks=remarks,
        frames=pictures(thumbnails, result.skel, np.asarray(result.motion.time_s), joints_m),
        assumptions=assumptions(result, options),
        timings_s=result.timings_s,
        files=tuple(sorted(path.name for path in written)),
    )
    page, figures = out / f"{result.name}_report.html", out / f"{result.name}_report.json"
    write_report(page, figures, inputs)
    return page, figures


def findings(result: Result, options: ResultOptions) -> tuple[Analysis | None, tuple[str, ...]]:
    """Analyse a result for its report.

    Args:
        result: of one person.
        options: that the result was made with.

    Returns:
        Events, cycles and parameters, and no remark; None and the reason if there is nothing to analyse.
    """
    assumed = result.observation is not None and options.height_m is None
    chosen = AnalysisOptions(task=options.task, draws=_DRAWS, height_sd_m=_STATURE_SD_M if assumed else 0.0)
    try:
        return analyse(result.motion, result.subject, options=chosen, name=result.name), ()
    except HsmrBioError as error:
        return None, (f"No findings: {error}",)


def assumptions(result: Result, options: ResultOptions) -> dict[str, str]:
    """List the assumptions of a result for its report.

    Args:
        result: of one person.
        options: that the result was made with.

    Returns:
        Topic -> the assumption and its source, as text.
    """
    skel, subject = result.skel, result.subject
    cutoff_hz = usable_cutoff(skel, options.cutoff_hz)
    found = {
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
    if result.observation is not None and result.observation.notes:
        found["video"] = "; ".join(result.observation.notes)
    if result.observation is not None and result.observation.skel_poses_rad is None:
        found["keypoints"] = f"{result.observation.keypoint_set}: {result.observation.source}"
    if "depth" in skel.notes:
        found["depth"] = str(skel.notes["depth"])
    if skel.camera is not None:
        found["camera"] = f"focal length {skel.camera.focal_px:.0f} px ({skel.camera.source})"
    if (ground := skel.ground) is not None:
        found["gravity"] = (
            f"camera pitch {np.degrees(ground.camera_pitch_rad):.1f} deg ({ground.pitch_source}), "
            f"roll {np.degrees(ground.camera_roll_rad):.1f} deg ({ground.roll_source})"
        )
        place = f"camera {ground.camera_height_m:.2f} m above it"
        stands = f"{place}; feet stand in {ground.standing_share:.0%} of frames"
        found["floor"] = stands if ground.floor else f"none: no foot stands; height 0 is the body's lowest point, {place}"
    return found
