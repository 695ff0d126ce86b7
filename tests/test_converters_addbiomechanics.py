"""AddBiomechanics: a real .b3d against nimblephysics' own engine, and the subject folder re-read by other readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmr_bio.converters.addbiomechanics import read_b3d, write_addbiomechanics
from hsmr_bio.errors import FormatError, InputError, ModelError
from hsmr_bio.fitting.markers.inverse_kinematics import marker_errors
from hsmr_bio.io.silence import no_stdout
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.placed import place_model
from hsmr_bio.types import Markers, OsimMotion

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
B3D = SHARED / "data" / "formats" / "opencap_walk.b3d"
nimble: Any = pytest.importorskip("nimblephysics", reason="nimblephysics has no wheel here")


@pytest.fixture
def b3d() -> Path:
    if not B3D.is_file():
        pytest.skip("the development data are not here")
    return B3D


@pytest.mark.assets
def test_a_subject_is_read_as_its_readme_says(b3d: Path) -> None:
    subject = read_b3d(b3d)
    assert (subject.mass_kg, subject.stature_m, subject.sex) == (68.0, pytest.approx(1.70), "male")
    assert subject.passes == ("kinematics",)
    assert [(trial.name, len(trial.motion.time_s)) for trial in subject.trials] == [
        ("walking2_segment_0", 132),
        ("walking1_segment_0", 131),
    ]
    trial = subject.trials[0]
    assert len(trial.motion.coordinates) == 33 and "" not in trial.markers.names
    np.testing.assert_allclose(np.diff(trial.motion.time_s), 0.01, atol=1e-12)
    heaviest = max(force.force_n[:, 1].max() for force in trial.loads.forces)
    assert 0.9 * 68 * 9.81 < heaviest < 1.5 * 68 * 9.81  # one foot carries about the body's weight while walking
    only = read_b3d(b3d, trial="walking1_segment_0")
    assert [t.name for t in only.trials] == ["walking1_segment_0"]


@pytest.mark.assets
def test_our_kinematics_place_the_bodies_where_nimble_does(b3d: Path) -> None:
    subject = read_b3d(b3d, trial=0)
    motion, document = subject.trials[0].motion, OsimDocument.from_bytes(subject.osim_xml)
    tree = document.tree()
    q = np.repeat(document.default_si[None], len(motion.time_s), axis=0)
    for column, name in enumerate(motion.coordinates):
        q[:, tree.index(name)] = motion.values_si[:, column]
    ours = tree.forward(q).positions_m.numpy()
    with no_stdout():
        skeleton = nimble.biomechanics.SubjectOnDisk(str(b3d)).readSkel(0, ignoreGeometry=True)
    for frame in (0, 60, 131):
        for index in range(skeleton.getNumDofs()):
            skeleton.setPosition(index, float(motion.values_si[frame, index]))
        for name in ("pelvis", "tibia_r", "calcn_l", "torso", "hand_r"):
            theirs = np.asarray(skeleton.getBodyNode(name).getWorldTransform().translation())
            np.testing.assert_allclose(ours[frame, tree.bodies.index(name)], theirs, atol=1e-4, err_msg=f"{name}, {frame}")
    assert marker_errors(motion, document, subject.trials[0].markers).rms_m < 0.035


@pytest.mark.assets
def test_malformed_files_give_one_clear_error_each(b3d: Path, tmp_path: Path) -> None:
    data = b3d.read_bytes()
    cases = {
        "empty": b"",
        "text": b"PathFileType\t4\t(X/Y/Z)\tmarkers.trc\n" * 100,
        "header": data[:1000],
        "half_header": data[:300_000],
        "frames_cut": data[:1_500_000],
        "end_cut": data[:-20],
        "garbled": (1000).to_bytes(8, "little") + bytes(range(256)) * 20,
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.b3d"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"b3d|truncated|damaged"):
            read_b3d(path)
    with pytest.raises(FormatError, match="cannot be opened"):
        read_b3d(tmp_path / "nobody.b3d")
    with pytest.raises(InputError, match="walking2_segment_0"):
        read_b3d(b3d, trial="running")


def trial_of(document: OsimDocument, frames: int = 5) -> Markers:
    values = np.repeat(document.default_si[None], frames, axis=0)
    motion = OsimMotion(
        time_s=np.arange(frames) / 100,
        coordinates=tuple(document.coordinates),
        values_si=values,
        rotational=document.rotational,
    )
    placed = place_model(motion, document)
    return Markers(time_s=motion.time_s, names=placed.marker_names, positions_m=placed.markers_m)


def test_the_folder_is_what_the_site_expects(tmp_path: Path) -> None:
    document = bsm()
    markers = trial_of(document)
    write_addbiomechanics(
        tmp_path / "anna",
        {"walk_1": markers, "walk_2": markers},
        document,
        mass_kg=61.5,
        stature_m=1.684,
        sex="neutral",
    )
    about = json.loads((tmp_path / "anna" / "_subject.json").read_text())
    assert about == {
        "massKg": 61.5,
        "heightM": 1.684,
        "sex": "unknown",
        "skeletonPreset": "custom",
        "footBodyNames": ["calcn_r", "calcn_l"],
        "disableDynamics": True,
        "subjectTags": [],
    }
    files = sorted(str(path.relative_to(tmp_path / "anna")) for path in (tmp_path / "anna").rglob("*") if path.is_file())
    assert files == [
        "_subject.json",
        "trials/walk_1/markers.trc",
        "trials/walk_2/markers.trc",
        "unscaled_generic.osim",
    ]
    again = read_trc(tmp_path / "anna" / "trials" / "walk_1" / "markers.trc")
    np.testing.assert_allclose(again.positions_m, markers.positions_m, atol=1e-6)


def test_nimble_reads_the_markers_of_the_folder(tmp_path: Path) -> None:
    """AddBiomechanics itself reads the folder with nimblephysics."""
    document = bsm()
    markers = trial_of(document, 8)
    write_addbiomechanics(tmp_path / "s", {"t": markers}, document, mass_kg=70, stature_m=1.7, sex="female")
    with no_stdout():
        trc = nimble.biomechanics.OpenSimParser.loadTRC(str(tmp_path / "s" / "trials" / "t" / "markers.trc"))
    steps = trc.markerTimesteps
    assert len(steps) == 8
    for index, name in enumerate(markers.names):
        np.testing.assert_allclose(np.asarray(steps[3][name]), markers.positions_m[3, index], atol=1e-6, err_msg=name)


def test_what_cannot_be_uploaded_is_said(tmp_path: Path) -> None:
    document = bsm()
    markers = trial_of(document)
    good: dict[str, Any] = {"mass_kg": 70.0, "stature_m": 1.7}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"markers": {}}, "at least one trial"),
        ({"markers": {"../up": markers}}, "letters, digits"),
        ({"mass_kg": 70000.0}, "kg and m"),
        ({"mass_kg": 0.9}, "kg and m"),
        ({"stature_m": 0.29}, "kg and m"),
        ({"stature_m": 170.0}, "kg and m"),
        ({"sex": "m"}, "'female'"),
    ]
    for change, message in cases:
        arguments = {"markers": {"walk": markers}, **good, **change}
        with pytest.raises(InputError, match=message):
            write_addbiomechanics(tmp_path / "s", arguments.pop("markers"), document, **arguments)
    strangers = Markers(time_s=markers.time_s, names=tuple(f"m{i}" for i in range(105)), positions_m=markers.positions_m)
    with pytest.raises(InputError, match="shares 0 marker names"):
        write_addbiomechanics(tmp_path / "s", {"walk": strangers}, document, **good)
    footless = OsimDocument.from_bytes(document.to_bytes().replace(b"calcn_r", b"heel_r"))
    with pytest.raises(ModelError, match="two feet"):
        write_addbiomechanics(tmp_path / "s", {"walk": markers}, footless, **good)
    assert not (tmp_path / "s").exists()
