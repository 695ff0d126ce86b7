"""The .mot and .sto grammar, against files that OpenSim and people wrote, and back into OpenSim."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsmr_bio.errors import FormatError, InputError, UnknownCoordinateError
from hsmr_bio.io.mot import read_mot, rotational_columns, write_mot
from hsmr_bio.io.sto import read_sto, write_sto
from hsmr_bio.io.table import Table, read_table, write_table
from hsmr_bio.types import GeneralizedForces, OsimMotion

TIME = np.arange(7) / 59.94
ANGLE_RAD = 0.5 * np.sin(7 * TIME)
HEIGHT_M = 0.9 + 0.01 * np.cos(5 * TIME)

BY_HAND_RADIANS = """a note by hand
version=1
inDegrees=no
endheader
time\tknee_angle_r\tpelvis_tx
0.5\t3.141592653589793\t2.0
1.0\t0.1\tNaN
"""


@pytest.mark.parametrize("name", ["opensim_degrees.mot", "opensim_radians.sto"])
def test_what_opensim_wrote_is_read_as_radians_and_metres(golden: Path, name: str) -> None:
    motion = read_mot(golden / name)
    assert motion.coordinates == ("knee_angle_r", "pelvis_ty")
    np.testing.assert_allclose(motion.values_si, np.stack([ANGLE_RAD, HEIGHT_M], axis=1), atol=1e-8)
    np.testing.assert_allclose(motion.time_s, TIME, atol=1e-8)


def test_states_that_opensim_wrote_keep_values_and_drop_speeds(golden: Path) -> None:
    motion = read_mot(golden / "opensim_states.sto")
    assert motion.coordinates == ("knee_angle_r",)
    np.testing.assert_allclose(motion.values_si[:, 0], ANGLE_RAD, atol=1e-12)


def test_radians_written_by_hand_stay_radians(tmp_path: Path) -> None:
    path = tmp_path / "hand.mot"
    path.write_text(BY_HAND_RADIANS.replace("NaN", "1"))
    assert read_mot(path).values_si[0, 0] == pytest.approx(np.pi)
    assert read_mot(path).values_si[0, 1] == 2.0


def test_degrees_written_by_hand_become_radians_but_lengths_stay(tmp_path: Path) -> None:
    path = tmp_path / "hand.mot"
    path.write_text("t\ninDegrees=yes\nendheader\ntime knee_angle_r pelvis_tx\n  0.5   180.0   2.0\n\n")
    np.testing.assert_allclose(read_mot(path).values_si, [[np.pi, 2.0]])


def test_windows_line_ends_and_microsofts_nan_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "old.sto"
    path.write_bytes(b"old\r\nnRows=2\r\nendheader\r\ntime\tforce\r\n0\t1.#QNAN00\r\n1\t-1.#IND\r\n")
    assert np.isnan(read_table(path).values).all()


@pytest.mark.opensim
def test_opensim_reads_what_we_wrote(tmp_path: Path, walk: OsimMotion) -> None:
    osim = pytest.importorskip("opensim")
    path = tmp_path / "walk.mot"
    write_mot(path, walk)
    table = osim.TimeSeriesTable(str(path))
    assert table.getTableMetaDataString("inDegrees") == "yes"
    assert tuple(table.getColumnLabels()) == walk.coordinates
    np.testing.assert_allclose(table.getIndependentColumn(), walk.time_s, atol=1e-9)
    expected = np.where(walk.rotational, np.rad2deg(walk.values_si), walk.values_si)
    np.testing.assert_allclose(table.getMatrix().to_numpy(), expected, atol=1e-8)
    storage = osim.Storage(str(path))
    assert storage.isInDegrees()
    assert storage.getSize() == len(walk.time_s)
    assert storage.getStateVector(150).getData().get(2) == pytest.approx(expected[150, 2], abs=1e-8)


@pytest.mark.opensim
def test_opensim_reads_forces_that_we_wrote(tmp_path: Path) -> None:
    osim = pytest.importorskip("opensim")
    forces = GeneralizedForces(
        time_s=np.arange(3) / 10,
        coordinates=("knee_angle_r", "pelvis_ty"),
        values_si=np.array([[1.5, 700], [2.5, 701], [-3, 702]]),
        rotational=np.array([True, False]),
    )
    write_sto(tmp_path / "id.sto", forces)
    table = osim.TimeSeriesTable(str(tmp_path / "id.sto"))
    assert tuple(table.getColumnLabels()) == ("knee_angle_r_moment", "pelvis_ty_force")
    np.testing.assert_allclose(table.getMatrix().to_numpy(), forces.values_si)


def test_the_inverse_dynamics_result_of_opensim_is_read(shared: Path) -> None:
    forces = read_sto(shared / "data/dynamics/gait10dof_walk/ref_id.sto")
    assert forces.values_si.shape == (151, 10)
    assert forces.coordinates[:2] == ("pelvis_tilt", "pelvis_tx")
    assert forces.rotational.tolist()[:3] == [True, False, False]
    assert forces.values_si[0, 1] == pytest.approx(-118.06064245)


@pytest.mark.parametrize("name", ["motion/e1_walk/ref.mot", "video/pose2sim_single/ref_ik.mot", "video/opencap_squat/ref.mot"])
def test_motions_of_other_programs_are_read(shared: Path, name: str) -> None:
    motion = read_mot(shared / "data" / name)
    flat = dict(zip(motion.coordinates, motion.values_si.T, strict=True))
    assert 0.5 < np.mean(flat["pelvis_ty"]) < 1.3
    assert np.max(flat["knee_angle_r"]) < 3


def test_force_plates_are_read_as_they_are(shared: Path) -> None:
    table = read_table(shared / "data/dynamics/gait10dof_walk/grf.mot")
    assert table.values.shape == (1501, 18)
    assert table.values[0, 1] == pytest.approx(745.4661142)


names = st.lists(st.from_regex(r"[a-z]{1,8}_(angle|tx)", fullmatch=True), min_size=1, max_size=5, unique=True)


@settings(max_examples=40, deadline=None)
@given(names=names, data=st.data())
def test_a_motion_survives_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    frames = data.draw(st.integers(1, 6))
    values = data.draw(arrays(np.float64, (frames, len(names)), elements=st.floats(-1e4, 1e4)))
    steps = data.draw(arrays(np.float64, frames, elements=st.floats(1e-4, 100)))
    motion = OsimMotion(
        time_s=np.round(np.cumsum(steps), 9),
        coordinates=tuple(names),
        values_si=values,
        rotational=np.array([name.endswith("angle") for name in names]),
    )
    path = tmp_path_factory.mktemp("mot") / "m.mot"
    write_mot(path, motion)
    back = read_mot(path)
    assert back.coordinates == motion.coordinates
    assert (back.rotational == motion.rotational).all()
    np.testing.assert_array_equal(back.time_s, motion.time_s)
    np.testing.assert_allclose(back.values_si, values, atol=1e-8)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", None, "empty"),
        ("hello\nworld\n", None, "endheader"),
        ("a\ninDegrees=yes\nendheader\n", 3, "before the column names"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n", 5, "no frame"),
        ("a\ninDegrees=yes\nendheader\nframe\tknee_angle\n1\t2\n", 4, "'time'"),
        ("a\nendheader\ntime\tknee_angle\n0\t2\n", None, "inDegrees"),
        ("a\ninDegrees=maybe\nendheader\ntime\tknee_angle\n0\t2\n", None, "maybe"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1\n1\t2\t3\n2\t3\n", 6, "3 values in the row, 2 column names"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1\n1\t2\n2\n", 7, "cut off"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1\n1\tone\n", 6, "'one' in column 2"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1,5\n", 5, "'1,5'"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1\n2\t1\n1\t1\n", 7, "must increase"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1\n0\t2\n", 6, "must increase"),
        ("a\ninDegrees=yes\nendheader\ntime\tknee_angle\nnan\t1\n", 5, "must increase"),
        (
            "a\ninDegrees=yes\nendheader\ntime\tknee_angle\tknee_angle\n0\t1\t2\n",
            "column 'knee_angle'",
            "several with different values",
        ),
        (BY_HAND_RADIANS, "column 'pelvis_tx'", "1 s"),
    ],
)
def test_a_broken_file_is_one_error_that_names_the_place(
    tmp_path: Path, text: str, where: int | str | None, words: str
) -> None:
    path = tmp_path / "broken.mot"
    path.write_text(text)
    with pytest.raises(FormatError, match=words) as caught:
        read_mot(path)
    assert caught.value.where == where
    assert str(path) in str(caught.value)


def test_the_place_is_named_in_a_file_of_several_megabytes_too(tmp_path: Path) -> None:
    """Long files are parsed in parts: values, lines and the hint of a file cut off are those of the whole file."""
    count, path = 150_000, tmp_path / "long.mot"
    rows = [f"{i}\t{i / 7:.6f}" for i in range(count)]
    head = "a\ninDegrees=no\nendheader\ntime\tknee_angle\n"
    path.write_text(head + "\n".join(rows) + "\n\n")
    np.testing.assert_allclose(read_mot(path).values_si[:, 0], np.arange(count) / 7, atol=1e-6)
    for row, text, words in ((120_000, "1", "1 values in the row, 2 column names above it$"), (count - 1, "7", "cut off")):
        path.write_text(head + "\n".join([*rows[:row], text, *rows[row + 1 :]]))
        with pytest.raises(FormatError, match=words) as caught:
            read_mot(path)
        assert caught.value.where == 5 + row


def test_a_missing_file_and_a_picture_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_mot(tmp_path / "none.mot")
    (tmp_path / "picture.mot").write_bytes(b"\x89PNG\0\0\0\1")
    with pytest.raises(FormatError, match="not a text file"):
        read_mot(tmp_path / "picture.mot")


def test_the_model_decides_what_is_an_angle() -> None:
    model = SimpleNamespace(
        coordinates={"slide": SimpleNamespace(rotational=False), "turn_tx": SimpleNamespace(rotational=True)}
    )
    assert rotational_columns(("turn_tx", "slide"), model).tolist() == [True, False]
    with pytest.raises(UnknownCoordinateError, match="knee"):
        rotational_columns(("knee",), model)


def test_without_a_model_a_name_that_tells_nothing_is_refused() -> None:
    assert rotational_columns(("pelvis_tz", "shoulder_r_x", "F_pelvis_tilt", "knee_angle_r_beta")).tolist() == [
        False,
        True,
        True,
        True,
    ]
    with pytest.raises(InputError, match="ground_force_vx"):
        rotational_columns(("ground_force_vx",))


def test_names_that_break_the_grammar_are_not_written(tmp_path: Path) -> None:
    table = Table(title="t", time_s=[0.0], columns=("a\tb",), values=[[1.0]], in_degrees=None)
    with pytest.raises(InputError, match="cannot be the name"):
        write_table(tmp_path / "t.sto", table)
    assert list(tmp_path.iterdir()) == []


def test_forces_need_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "f.sto").write_text("f\nendheader\ntime\tknee_angle_r\n0\t1\n")
    with pytest.raises(FormatError, match="_moment or _force"):
        read_sto(tmp_path / "f.sto")
