"""What goes out: tables, bones with the names of animation programs; OpenCap's sessions; the list of formats."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsmr_bio.cli import main
from hsmr_bio.converters.animation import from_skel
from hsmr_bio.converters.bone_names import named
from hsmr_bio.converters.bvh import read_bvh
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.formats import FORMATS
from hsmr_bio.converters.registry import convert, describe, read
from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.mot import read_mot, write_mot
from hsmr_bio.io.npz import save_motion
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.osim.library import bsm
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import Markers, OsimMotion, SkelMotion

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def skel(open_body) -> SkelMotion:
    """Ten frames of arms, knees and a foot that move."""
    poses = np.zeros((10, 46))
    for name in ("knee_angle_r", "elbow_flexion_l", "subtalar_angle_r", "ankle_angle_r", "pro_sup_l", "lumbar_extension"):
        poses[:, DOF_NAMES.index(name)] = np.linspace(0.1, 0.5, 10)
    return SkelMotion(
        time_s=np.arange(10) / 50,
        poses_rad=poses,
        trans_m=np.zeros((10, 3)),
        betas=np.zeros(10),
        body=open_body.name,
        frame="skel",
    )


@pytest.fixture
def folder(tmp_path: Path, walk: OsimMotion, skel: SkelMotion) -> Path:
    bsm().write(tmp_path / "walk.osim")
    write_mot(tmp_path / "walk.mot", walk)
    rng = np.random.default_rng(0)
    write_trc(tmp_path / "m.trc", Markers(time_s=walk.time_s, names=("a", "b c"), positions_m=rng.normal(size=(200, 2, 3))))
    save_motion(tmp_path / "s.npz", skel)
    return tmp_path


# ------------------------------------------------------------------ tables


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_every_table_goes_to_csv_and_parquet(folder: Path, walk: OsimMotion, skel: SkelMotion, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")

    def table(source: str) -> pd.DataFrame:
        target = folder / f"{Path(source).stem}{ending}"
        convert(folder / source, target)
        return pd.read_parquet(target).set_index("time_s") if ending == ".parquet" else pd.read_csv(target, index_col="time_s")

    motion = table("walk.mot")
    assert list(motion.columns) == ["knee_angle_r_deg", "hip_flexion_r_deg", "pelvis_tx_m", "pelvis_ty_m"]
    np.testing.assert_allclose(motion.to_numpy(), walk.values_si * np.where(walk.rotational, 180 / np.pi, 1.0), atol=1e-7)
    np.testing.assert_allclose(motion.index, walk.time_s, atol=1e-9)
    markers = table("m.trc")
    np.testing.assert_allclose(markers.to_numpy(), read_trc(folder / "m.trc").positions_m.reshape(200, 6), atol=1e-9)
    np.testing.assert_allclose(table("s.npz")[f"{DOF_NAMES[6]}_rad"], skel.poses_rad[:, 6], atol=1e-9)


def test_a_table_of_forces_goes_as_it_is(folder: Path) -> None:
    lines = [
        "forces",
        "version=1",
        "nRows=2",
        "nColumns=3",
        "endheader",
        "time\tground_force_vx\tstate",
        "0\t1.5\t7",
        "0.1\t2.5\t8",
    ]
    (folder / "grf.sto").write_text("\n".join(lines) + "\n")
    done = convert(folder / "grf.sto", folder / "grf.csv")
    table = pd.read_csv(folder / "grf.csv")
    assert list(table.columns) == ["time_s", "ground_force_vx", "state"]
    np.testing.assert_allclose(table.to_numpy(), [[0, 1.5, 7], [0.1, 2.5, 8]])
    assert any("unknown units" in text for text in done.lost)


def test_a_table_is_not_replaced_unasked(folder: Path) -> None:
    convert(folder / "m.trc", folder / "m.csv")
    with pytest.raises(InputError, match="exists already"):
        convert(folder / "m.trc", folder / "m.csv")
    convert(folder / "m.trc", folder / "m.csv", ConvertOptions(overwrite=True))


# ------------------------------------------------------------------ bones


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("mixamo", {"pelvis": "mixamorig:Hips", "tibia_l": "mixamorig:LeftLeg", "hand_r": "mixamorig:RightHand"}),
        ("smpl", {"pelvis": "Pelvis", "tibia_l": "L_Knee", "hand_r": "R_Wrist"}),
    ],
)
def test_bones_get_the_names_of_animation_programs(folder: Path, skel: SkelMotion, open_body, names: str, wanted: dict) -> None:
    words = ["convert", str(folder / "s.npz"), str(folder / "s.bvh"), "--bone-names", names]
    assert main(words) == 0
    file = read_bvh(folder / "s.bvh").animation
    assert set(wanted.values()) <= set(file.names) and len(file.names) == 20
    own = from_skel(skel, open_body)
    places, turns = own.world()
    found, found_turns = named(own, names)[0].world()  # type: ignore[arg-type]
    for bone, name in wanted.items():
        index = named(own, names)[0].names.index(name)  # type: ignore[arg-type]
        np.testing.assert_allclose(found[:, index], places[:, own.names.index(bone)], atol=1e-9)
        np.testing.assert_allclose(found_turns[:, index], turns[:, own.names.index(bone)], atol=1e-9)
    foot = {"mixamo": "mixamorig:RightFoot", "smpl": "R_Ankle"}[names]
    renamed = named(own, names)[0]  # type: ignore[arg-type]
    index, (at, turned) = renamed.names.index(foot), renamed.world()
    np.testing.assert_allclose(at[:, index], places[:, own.names.index("talus_r")], atol=1e-9)
    np.testing.assert_allclose(turned[:, index], turns[:, own.names.index("calcn_r")], atol=1e-9)


def test_a_motion_of_the_model_gets_them_too(folder: Path) -> None:
    done = convert(folder / "walk.mot", folder / "walk.bvh", ConvertOptions(bone_names="mixamo"))
    assert any("calcn_r" in text for text in done.lost)
    assert "mixamorig:LeftUpLeg" in read_bvh(folder / "walk.bvh").animation.names


def test_other_bones_are_refused(folder: Path, skel: SkelMotion, open_body) -> None:
    animation = from_skel(skel, open_body)
    other = type(animation)(**{**vars(animation), "names": ("hips", *animation.names[1:])})
    with pytest.raises(InputError, match="pelvis is expected"):
        named(other, "mixamo")


# ------------------------------------------------------------------ OpenCap


@pytest.fixture
def session(folder: Path) -> Path:
    """A session of two trials, one with two videos."""
    root = folder / "OpenCapData_1"
    for place in (
        "MarkerData",
        "OpenSimData/Kinematics",
        "OpenSimData/Model",
        "Videos/Cam0/InputMedia/squat[1]",
        "Videos/Cam1",
    ):
        (root / place).mkdir(parents=True)
    (root / "sessionMetadata.yaml").write_text("height_m: 1.81\nmass_kg: 74\ngender_mf: f\n")
    for trial in ("squat[1]", "walk"):
        shutil.copy(folder / "walk.mot", root / "OpenSimData/Kinematics" / f"{trial}.mot")
        shutil.copy(folder / "m.trc", root / "MarkerData" / f"{trial}.trc")
    shutil.copy(folder / "walk.osim", root / "OpenSimData/Model/LaiUhlrich2022_scaled.osim")
    for name in ("a.mov", "b.mp4"):
        (root / "Videos/Cam0/InputMedia/squat[1]" / name).write_bytes(b"")
    (root / "Videos/Cam1/cameraIntrinsicsExtrinsics.pickle").write_bytes(b"")
    return root


def test_a_session_of_opencap_falls_into_its_parts(session: Path, folder: Path, walk: OsimMotion) -> None:
    with pytest.raises(InputError, match=r"2 trials \(squat\[1\], walk\)"):
        convert(session, folder / "x.mot")
    options = ConvertOptions(trial="squat[1]")
    content = read(session, "coordinates", options=options)
    assert (content.mass_kg, content.stature_m, content.sex) == (74, 1.81, "female")
    assert "2 videos" in content.lost
    for ending in ("mot", "trc", "osim"):
        convert(session, folder / f"x.{ending}", options)
    np.testing.assert_allclose(read_mot(folder / "x.mot").values_si, walk.values_si, atol=1e-9)
    assert read_trc(folder / "x.trc").names == ("a", "b c")
    assert "knee_angle_r" in (folder / "x.osim").read_text()
    facts = describe(session)
    assert facts["trials"]["squat[1]"]["videos"] == 2 and facts["trials"]["walk"]["videos"] == 0
    assert facts["calibrated cameras"] == ["Cam1"]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    with pytest.raises(InputError, match="no trial 'run'"):
        read(session, "coordinates", options=ConvertOptions(trial="run"))


def test_a_session_with_two_models_or_none_says_so(session: Path) -> None:
    models = session / "OpenSimData/Model"
    shutil.copy(models / "LaiUhlrich2022_scaled.osim", models / "other_scaled.osim")
    with pytest.raises(InputError, match="2 models"):
        read(session, "coordinates", options=ConvertOptions(trial="walk"))
    shutil.rmtree(models)
    assert read(session, "coordinates", options=ConvertOptions(trial="walk")).model is None
    (session / "sessionMetadata.yaml").write_text("- a\n")
    with pytest.raises(FormatError, match="a mapping"):
        read(session, "coordinates", options=ConvertOptions(trial="walk"))


# ------------------------------------------------------------------ list


def test_convert_lists_what_is_read_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--list"]) == 0
    text = capsys.readouterr().out
    for row in FORMATS:
        assert row.summary in text
        assert all(layout in text for layout in row.layouts)
    assert main(["convert", "--list", "--json"]) == 0
    facts = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert facts["C3D"]["read"] and facts["C3D"]["written"] and facts["Table"]["written"] and not facts["USD"]["read"]
    assert "CoMotion" in facts["SMPL motion"]["results of"]
    assert main(["convert", "a.trc"]) == 1
    assert "--list" in capsys.readouterr().err


def table_of_the_page() -> dict[str, list[str]]:
    """Format -> its cells in the documentation."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    first = page.partition("| --- | --- | --- | --- |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()]
    return {cells[0]: cells[1:] for cells in rows}


def test_the_page_of_the_formats_is_true() -> None:
    page = table_of_the_page()
    assert set(page) == {row.name for row in FORMATS}
    for row in FORMATS:
        endings, directions, results = page[row.name]
        assert re.findall(r"`([^`]+)`", endings) == list(row.endings), row.name
        assert directions == ", ".join(word for word, used in (("read", row.read), ("written", row.write)) if used), row.name
        missing = [layout for layout in row.layouts if layout not in results]
        assert not missing, f"{row.name}: {missing}"
