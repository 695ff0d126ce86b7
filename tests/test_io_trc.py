"""The .trc format, against files that OpenSim and others wrote, and back into OpenSim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.types import Markers

BY_HAND = (
    "PathFileType\t4\t(X/Y/Z)\thand.trc\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
    "59.94\t59.94\t3\t2\tmm\t59.94\t1\t3\n"
    "Frame#\tTime\tRASI\t\t\theel r\t\t\n"
    "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
    "\n"
    "1\t0.0\t100\t900\t-20.5\t1\t2\t3\n"
    "2\t0.016683\t\t\t\t4\t5\t6\n"
    "3\t0.033367\t7\t8\t9\t\t\t\n"
)


def markers(frames: int = 50, rate_hz: float = 60.0) -> Markers:
    rng = np.random.default_rng(3)
    return Markers(
        time_s=np.arange(frames) / rate_hz, names=("RASI", "heel r", "C7"), positions_m=rng.normal(size=(frames, 3, 3))
    )


def test_millimetres_and_empty_cells_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "hand.trc"
    path.write_text(BY_HAND)
    read = read_trc(path)
    assert read.names == ("RASI", "heel r")
    np.testing.assert_allclose(read.positions_m[0], [[0.1, 0.9, -0.0205], [0.001, 0.002, 0.003]])
    assert np.isnan(read.positions_m[1, 0]).all()
    assert np.isnan(read.positions_m[2, 1]).all()
    np.testing.assert_allclose(read.positions_m[2, 0], [0.007, 0.008, 0.009])


def test_what_opensim_wrote_is_read(golden: Path) -> None:
    read = read_trc(golden / "opensim_markers.trc")
    time = np.arange(7) / 59.94
    np.testing.assert_allclose(read.time_s, time)
    np.testing.assert_allclose(read.positions_m[:, 0, 1], 0.9 + 0.01 * np.cos(5 * time))
    assert np.isnan(read.positions_m[2, 1]).all()
    assert np.isnan(read.positions_m[0, 1]).all()  # 0 0 0
    assert np.isfinite(read.positions_m[[1, 3, 4, 5, 6]]).all()


@pytest.mark.opensim
@pytest.mark.parametrize("unit", ["m", "mm"])
@pytest.mark.parametrize("rate_hz", [60.0, 59.94, 29.97])
def test_opensim_reads_what_we_wrote(tmp_path: Path, unit: str, rate_hz: float) -> None:
    osim = pytest.importorskip("opensim")
    ours = markers(rate_hz=rate_hz)
    path = tmp_path / "m.trc"
    write_trc(path, ours, unit=unit)
    data = osim.MarkerData(str(path))
    assert data.getDataRate() == pytest.approx(rate_hz, rel=1e-6)
    assert data.getNumFrames() == len(ours.time_s)
    assert [data.getMarkerNames().get(i) for i in range(3)] == list(ours.names)
    scale = {"m": 1.0, "mm": 0.001}[unit]
    assert data.getUnits().getAbbreviation() == unit
    frame = data.getFrame(17)
    np.testing.assert_allclose(np.array(frame.getMarker(2).to_numpy()) * scale, ours.positions_m[17, 2], atol=1e-6)
    table = osim.TimeSeriesTableVec3(str(path))
    assert tuple(table.getColumnLabels()) == ours.names
    np.testing.assert_allclose(table.getIndependentColumn(), ours.time_s, atol=1e-9)


@pytest.mark.opensim
def test_opensim_sees_a_gap_as_nan(tmp_path: Path) -> None:
    osim = pytest.importorskip("opensim")
    ours = markers()
    positions = ours.positions_m.copy()
    positions[4:9, 1] = np.nan
    positions[-3:, 2] = np.nan
    path = tmp_path / "gap.trc"
    write_trc(path, Markers(time_s=ours.time_s, names=ours.names, positions_m=positions))
    table = osim.TimeSeriesTableVec3(str(path))
    assert np.isnan(table.getDependentColumn("heel r")[4].to_numpy()).all()
    assert np.isfinite(table.getDependentColumn("heel r")[9].to_numpy()).all()
    assert np.isnan(table.getDependentColumn("C7")[len(ours.time_s) - 1].to_numpy()).all()
    np.testing.assert_allclose(read_trc(path).positions_m, positions, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("motion/e1_walk/markers.trc", 51),
        ("dynamics/gait10dof_walk/markers.trc", 41),
        ("video/opencap_squat/ref.trc", 63),
        ("video/pose2sim_single/landmarks_openpose25b.trc", 25),
    ],
)
def test_markers_of_other_programs_are_read(shared: Path, name: str, count: int) -> None:
    read = read_trc(shared / "data" / name)
    assert len(read.names) == count
    assert 0 < np.nanmedian(read.positions_m[..., 1]) < 2


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_markers_survive_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    frames, count = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    positions = data.draw(arrays(np.float64, (frames, count, 3), elements=st.floats(-50, 50)))
    gaps = data.draw(arrays(np.bool_, (frames, count)))
    positions[gaps | (np.abs(positions) < 1e-5).all(axis=-1)] = np.nan  # 0 0 0 would be taken for not seen
    ours = Markers(time_s=np.arange(frames) / 100, names=tuple(f"M {i}" for i in range(count)), positions_m=positions)
    path = tmp_path_factory.mktemp("trc") / "m.trc"
    write_trc(path, ours, unit=data.draw(st.sampled_from(["m", "mm"])))
    back = read_trc(path)
    assert back.names == ours.names
    np.testing.assert_array_equal(back.time_s, ours.time_s)
    np.testing.assert_allclose(back.positions_m, positions, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        (lambda text: text.replace("PathFileType", "Path"), 1, "PathFileType"),
        (lambda text: "\n".join(text.split("\n")[:3]), 3, "cut off"),
        (lambda text: text.replace("Units", "Unit"), 2, "Units"),
        (lambda text: text.replace("\tmm\t", "\tfeet\t"), 3, "feet"),
        (lambda text: text.replace("RASI", "").replace("heel r", ""), 4, "no marker names"),
        (lambda text: text.replace("4\t5\t6", "4\t5"), 8, "7 cells"),
        (lambda text: text.replace("4\t5\t6", "4\tfive\t6"), 8, "'five'"),
        (lambda text: text.replace("0.033367", "0.01"), 9, "must increase"),
        (lambda text: text.split("1\t0.0\t")[0], 7, "no frame"),
        (lambda text: "", None, "empty"),
    ],
)
def test_a_broken_file_is_one_error_that_names_the_line(tmp_path: Path, change, where, words: str) -> None:
    path = tmp_path / "broken.trc"
    path.write_text(change(BY_HAND))
    with pytest.raises(FormatError, match=words) as caught:
        read_trc(path)
    assert caught.value.where == where


def test_an_uneven_motion_is_written_with_its_times_and_mean_rate(tmp_path: Path) -> None:
    time = np.array([0.0, 0.03, 0.1])
    path = tmp_path / "uneven.trc"
    write_trc(path, Markers(time_s=time, names=("A",), positions_m=np.zeros((3, 1, 3))))
    assert path.read_text().splitlines()[2].startswith("20\t20\t3\t1\tm")
    np.testing.assert_array_equal(read_trc(path).time_s, time)


def test_nothing_is_written_for_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="m or mm"):
        write_trc(tmp_path / "a.trc", markers(), unit="inch")
    (tmp_path / "b.trc").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_trc(tmp_path / "b.trc", markers(), overwrite=False)
    assert (tmp_path / "b.trc").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
