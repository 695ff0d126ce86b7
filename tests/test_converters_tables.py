"""Coordinates and markers as plain tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hsmr_bio as hb
from hsmr_bio.cli import main
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.registry import convert, read


def test_a_motion_becomes_a_table_that_pandas_reads(walk: hb.OsimMotion, tmp_path: Path) -> None:
    hb.write_mot(tmp_path / "walk.mot", walk)
    assert main(["convert", str(tmp_path / "walk.mot"), str(tmp_path / "walk.csv")]) == 0
    table = pd.read_csv(tmp_path / "walk.csv", index_col="time_s")
    assert list(table.columns) == ["knee_angle_r_deg", "hip_flexion_r_deg", "pelvis_tx_m", "pelvis_ty_m"]
    np.testing.assert_allclose(table["knee_angle_r_deg"], np.degrees(walk.column("knee_angle_r")), atol=1e-6)
    np.testing.assert_allclose(table.index, walk.time_s, atol=1e-9)
    back = read(tmp_path / "walk.csv", "coordinates").coordinates
    assert back.coordinates == walk.coordinates
    np.testing.assert_allclose(back.values_si, walk.values_si, atol=1e-8)
    assert list(back.rotational) == list(walk.rotational)
    assert convert(tmp_path / "walk.csv", tmp_path / "again.mot").target == "MOT"


def test_markers_keep_what_was_not_seen(tmp_path: Path) -> None:
    positions = np.arange(12.0).reshape(2, 2, 3) / 7
    positions[1, 0] = np.nan
    hb.write_trc(tmp_path / "m.trc", hb.Markers(time_s=[0.0, 0.5], names=("RASI", "C7"), positions_m=positions))
    convert(tmp_path / "m.trc", tmp_path / "m.csv")
    back = read(tmp_path / "m.csv", "markers").markers
    assert back.names == ("RASI", "C7")
    np.testing.assert_allclose(back.positions_m, positions, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,knee\n0,1\n", "must end in its unit"),
        ("time_s,knee_deg\n0,1\n1,\n", "no value at 1 s"),
        ("time_s,A_x_m,A_y_m,A_z_m,C7_x_m,C7_y_m\n0,1,2,3,4,5\n", "three columns"),
        ("time_s,knee_deg\n1,1\n0,1\n", "must increase"),
    ],
)
def test_a_wrong_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(hb.errors.InputError, match=message):
        read(tmp_path / "odd.csv", "coordinates", "markers")


def test_an_existing_table_is_not_replaced(walk: hb.OsimMotion, tmp_path: Path) -> None:
    hb.write_mot(tmp_path / "walk.mot", walk)
    (tmp_path / "walk.csv").write_text("mine")
    with pytest.raises(hb.errors.InputError, match="exists already"):
        convert(tmp_path / "walk.mot", tmp_path / "walk.csv")
    convert(tmp_path / "walk.mot", tmp_path / "walk.csv", ConvertOptions(overwrite=True))
    assert (tmp_path / "walk.csv").read_text().startswith("time_s,")


def test_a_parquet_file_holds_the_same(walk: hb.OsimMotion, tmp_path: Path) -> None:
    hb.write_mot(tmp_path / "walk.mot", walk)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(hb.errors.MissingDependencyError, match=r"hsmr_bio\[parquet\]"):
            convert(tmp_path / "walk.mot", tmp_path / "walk.parquet")
        return
    convert(tmp_path / "walk.mot", tmp_path / "walk.parquet")
    back = read(tmp_path / "walk.parquet", "coordinates").coordinates
    np.testing.assert_allclose(back.values_si, walk.values_si, atol=1e-8)
