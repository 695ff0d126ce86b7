"""Decoration of text tables that is read with a note, as OpenSim reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.errors import FormatError, UnknownCoordinateError
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.table import read_table
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.library import bsm

TABLE = "motion\n{header}endheader\n{names}\n{rows}"
ROWS = "0\t1\t0.5\n0.1\t2\t0.6\n0.2\t3\t0.7\n"


def table(
    folder: Path, *, header: str = "inDegrees=yes\n", names: str = "time\tknee_angle_r\tpelvis_tx", rows: str = ROWS
) -> Path:
    """Write a table."""
    path = folder / "m.mot"
    path.write_text(TABLE.format(header=header, names=names, rows=rows))
    return path


@pytest.mark.parametrize(
    ("key", "says"), [("nRows=120\nnColumns=3\n", "nRows=120, there are 3"), ("nColumns=9\n", "nColumns=9")]
)
def test_wrong_counts_are_read_with_a_note(tmp_path, caplog, key: str, says: str) -> None:
    assert read_mot(table(tmp_path, header=f"{key}inDegrees=yes\n")).values_si.shape == (3, 2)
    assert says in caplog.text


def test_right_counts_and_odd_ones_say_nothing(tmp_path, caplog) -> None:
    read_mot(table(tmp_path, header="nRows=3\nnColumns=3\ninDegrees=yes\n"))
    read_mot(table(tmp_path, header=f"nRows=\u00b2\nnColumns={'9' * 5000}\ninDegrees=yes\n"))
    assert caplog.text == ""


def test_rows_that_repeat_the_row_before_are_left_out(tmp_path, caplog) -> None:
    read = read_mot(table(tmp_path, rows=ROWS + "0.2\t3\t0.7\n0.2\t3\t0.7\n"))
    np.testing.assert_array_equal(read.time_s, [0, 0.1, 0.2])
    assert "2 rows repeated the row before" in caplog.text
    with pytest.raises(FormatError, match=r"line 8: time is 0\.2 s after 0\.2 s"):
        read_mot(table(tmp_path, rows=ROWS + "0.2\t3\t0.8\n"))


@pytest.mark.parametrize("text", ["Angles are in degrees.", "   angles are in Degrees", "Angles are in radians."])
def test_the_text_states_the_unit_where_the_key_is_missing(tmp_path, text: str) -> None:
    value = read_mot(table(tmp_path, header=f"{text}\n")).values_si[0, 0]
    assert value == pytest.approx(1.0 if "radians" in text else np.deg2rad(1.0))
    assert read_mot(table(tmp_path, header=f"{text}\ninDegrees=no\n")).values_si[0, 0] == 1.0


def test_the_unit_can_be_said_where_nothing_states_it(tmp_path) -> None:
    path = table(tmp_path, header="")
    with pytest.raises(FormatError, match="--angles degrees or --angles radians"):
        read_mot(path)
    assert read_mot(path, angles="radians").values_si[0, 0] == 1.0
    assert read_mot(path, angles="degrees").values_si[0, 0] == pytest.approx(np.deg2rad(1.0))
    assert read_mot(table(tmp_path), angles="radians").values_si[0, 0] == pytest.approx(np.deg2rad(1.0))  # the file decides


def test_columns_that_are_no_coordinates_are_left_out(tmp_path, caplog) -> None:
    path = table(tmp_path, names="time\tknee_angle_r\tground_force_vx")
    read = read_mot(path, bsm())
    assert read.coordinates == ("knee_angle_r",)
    assert "1 column is no coordinate of the model and left out: ground_force_vx" in caplog.text
    with pytest.raises(UnknownCoordinateError, match="force_a"):
        read_mot(table(tmp_path, names="time\tforce_a\tforce_b"), bsm())


def test_empty_cells_of_the_header_are_no_columns(tmp_path, caplog) -> None:
    read = read_table(table(tmp_path, names="time\tknee_angle_r\t\tpelvis_tx\t"))
    assert read.columns == ("knee_angle_r", "pelvis_tx")
    np.testing.assert_array_equal(read.values[0], [1, 0.5])
    read = read_table(table(tmp_path, names="time\t\tpelvis_tx"))
    assert read.columns == ("pelvis_tx",)
    np.testing.assert_array_equal(read.values[0], [0.5])
    assert "columns without a name are left out" in caplog.text


def test_of_columns_of_one_name_the_first_counts_unless_it_matters(tmp_path, caplog) -> None:
    equal = "0\t1\t1\t7\t8\n0.1\t2\t2\t7\t9\n"
    names = "time\tknee_angle_r\tknee_angle_r\tforce\tforce"
    read = read_mot(table(tmp_path, names=names, rows=equal), bsm())
    assert read.coordinates == ("knee_angle_r",)
    assert "several columns are called 'knee_angle_r' and others: the first counts" in caplog.text
    assert read_table(table(tmp_path, names=names, rows=equal)).doubtful == {"force"}
    with pytest.raises(FormatError, match="several with different values"):
        read_mot(table(tmp_path, names=names, rows="0\t1\t2\t7\t8\n"), bsm())


TRC = (
    "PathFileType\t4\t(X/Y/Z)\tm.trc\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
    "10\t10\t{frames}\t{count}\tmm\t10\t1\t3\nFrame#\tTime\t{names}\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n\n{rows}"
)
TRC_ROWS = "1\t0.0\t1\t2\t3\t4\t5\t6\n2\t0.1\t1\t2\t3\t4\t5\t6\n3\t0.2\t1\t2\t3\t4\t5\t6\n"


def trc(folder: Path, *, frames: object = 3, count: object = 2, names: str = "A\t\t\tB\t\t", rows: str = TRC_ROWS) -> Path:
    """Write markers."""
    path = folder / "m.trc"
    path.write_text(TRC.format(frames=frames, count=count, names=names, rows=rows))
    return path


@pytest.mark.parametrize(
    ("counts", "says"), [({"frames": 900}, "NumFrames=900, there are 3"), ({"count": 41}, "NumMarkers=41")]
)
def test_wrong_counts_of_markers_are_read_with_a_note(tmp_path, caplog, counts, says: str) -> None:
    assert read_trc(trc(tmp_path, **counts)).positions_m.shape == (3, 2, 3)
    assert says in caplog.text


def test_frames_that_repeat_are_left_out(tmp_path) -> None:
    repeated = TRC_ROWS + "4\t0.2\t1\t2\t3\t4\t5\t6\n"
    np.testing.assert_array_equal(read_trc(trc(tmp_path, rows=repeated)).time_s, [0, 0.1, 0.2])
    with pytest.raises(FormatError, match="must increase"):
        read_trc(trc(tmp_path, rows=repeated.replace("4\t0.2\t1", "4\t0.2\t9")))


def test_markers_of_one_name_are_told_apart(tmp_path, caplog) -> None:
    read = read_trc(trc(tmp_path, names="A\t\t\tA\t\t"))
    assert read.names == ("A", "A_2")
    np.testing.assert_allclose(read.positions_m[0], [[0.001, 0.002, 0.003], [0.004, 0.005, 0.006]])
    assert "'A'" in caplog.text
    same = TRC_ROWS.replace("4\t5\t6", "1\t2\t3")
    assert read_trc(trc(tmp_path, names="A\t\t\tA\t\t", rows=same)).names == ("A",)


def test_zeros_beside_markers_elsewhere_are_gaps(tmp_path, caplog) -> None:
    rows = TRC_ROWS.replace("0.1\t1\t2\t3", "0.1\t0\t0.0\t-0").replace("0.2\t1\t2\t3", "0.2\t0\t0\t3")
    seen = np.isfinite(read_trc(trc(tmp_path, rows=rows)).positions_m).all(axis=-1)
    np.testing.assert_array_equal(seen, [[True, True], [False, True], [True, True]])
    assert "1 positions of exactly 0 0 0 (1 points) are read as not seen" in caplog.text


def test_a_file_of_zeros_alone_stays(tmp_path, caplog) -> None:
    rows = "1\t0.0\t0\t0\t0\t0\t0\t0\n"
    assert (read_trc(trc(tmp_path, rows=rows, frames=1)).positions_m == 0).all()
    assert caplog.text == ""


def test_a_marker_without_a_name_is_left_out(tmp_path, caplog) -> None:
    rows = "1\t0.0\t1\t2\t3\t4\t5\t6\t7\t8\t9\n2\t0.1\t1\t2\t3\t4\t5\t6\t7\t8\t9\n"
    read = read_trc(trc(tmp_path, frames=2, count=3, names="A\t\t\t\t\t\tB\t\t", rows=rows))
    assert read.names == ("A", "B")
    np.testing.assert_allclose(read.positions_m[0], [[0.001, 0.002, 0.003], [0.007, 0.008, 0.009]])
    assert "markers without a name are left out" in caplog.text


def test_the_angles_of_simms_motion_files_are_degrees(tmp_path, caplog) -> None:
    assert read_mot(table(tmp_path, header="datacolumns 3\ndatarows 3\n")).values_si[0, 0] == pytest.approx(np.deg2rad(1.0))
    assert "a motion file of SIMM without inDegrees" in caplog.text
    with pytest.raises(FormatError, match="--angles"):
        read_mot(table(tmp_path, header="version=1\ndatacolumns 3\n"))
