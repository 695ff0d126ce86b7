"""What stands in files of motion, word by word: headers, units, degrees, millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.io.mot import read_mot, write_mot
from hsmr_bio.io.table import Table, read_table, write_table
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.types import Markers, OsimMotion


def test_a_table_is_written_with_its_header_and_read_with_it(tmp_path: Path) -> None:
    table = Table(
        title="forces",
        time_s=np.array([0.0, 0.5]),
        columns=("a", "b"),
        values=np.array([[1.0, -2.5], [3.0, 4.0]]),
        in_degrees=False,
        header={"version": "7", "nRows": "99", "DataType": "double"},
    )
    write_table(tmp_path / "t.sto", table, decimals=2)
    assert (tmp_path / "t.sto").read_text().splitlines()[:8] == [
        *("forces", "version=1", "nRows=2", "nColumns=3", "inDegrees=no", "DataType=double", "endheader", "time\ta\tb"),
    ]
    found = read_table(tmp_path / "t.sto")
    assert found.header["DataType"] == "double" and found.columns == ("a", "b") and found.in_degrees is False
    np.testing.assert_allclose(found.values, table.values)
    np.testing.assert_allclose(found.time_s, [0, 0.5])


def test_angles_are_degrees_and_lengths_metres_in_a_motion_file(tmp_path: Path) -> None:
    motion = OsimMotion(
        time_s=[0.0, 0.1],
        coordinates=("knee_angle_r", "pelvis_tx"),
        values_si=[[np.pi / 2, 1.5], [-np.pi, 0.25]],
        rotational=[True, False],
    )
    write_mot(tmp_path / "m.mot", motion)
    lines = (tmp_path / "m.mot").read_text().splitlines()
    assert "inDegrees=yes" in lines
    first, second = ([float(cell) for cell in line.split()] for line in lines[-2:])
    assert first == pytest.approx([0, 90, 1.5]) and second == pytest.approx([0.1, -180, 0.25])
    radians = (tmp_path / "m.mot").read_text().replace("inDegrees=yes", "inDegrees=no")
    (tmp_path / "r.mot").write_text(radians)
    assert read_mot(tmp_path / "r.mot").column("knee_angle_r")[0] == pytest.approx(90), "as the header says"
    assert read_mot(tmp_path / "m.mot").column("knee_angle_r")[0] == pytest.approx(np.pi / 2)


def test_markers_are_written_in_the_unit_that_their_header_names(tmp_path: Path) -> None:
    markers = Markers(
        time_s=np.arange(3) / 50,
        names=("A", "B"),
        positions_m=np.array([[[0.1, 0.2, 0.3], [1, 2, 3]], [[np.nan] * 3, [4, 5, 6]], [[0.4, 0.5, 0.6], [7, 8, 9]]]),
    )
    for unit, factor in (("mm", 1000.0), ("m", 1.0)):
        path = tmp_path / f"{unit}.trc"
        write_trc(path, markers, unit=unit)
        lines = path.read_text().splitlines()
        values = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
        assert values["Units"] == unit and float(values["DataRate"]) == 50 and float(values["CameraRate"]) == 50
        assert (int(values["NumFrames"]), int(values["NumMarkers"])) == (3, 2)
        row = [float(cell) for cell in lines[-1].split("\t") if cell]
        assert row == pytest.approx([3, 0.04, *(factor * v for v in (0.4, 0.5, 0.6, 7, 8, 9))])
        np.testing.assert_allclose(read_trc(path).positions_m, markers.positions_m)
