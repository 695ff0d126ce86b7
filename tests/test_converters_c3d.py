"""C3D against two other programs: ezc3d and the pure-Python package c3d."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.converters.c3d import even_rate_hz, read_c3d, write_c3d
from hsmr_bio.errors import FormatError, HsmrBioError, InputError
from hsmr_bio.types import Markers

ezc3d = pytest.importorskip("ezc3d", reason="needs the extra c3d")


def standing(frames: int = 20, *, seed: int = 0, rate_hz: float = 100.0, first: int = 5) -> Markers:
    """Six markers over 1.6 m of height, y up; one is hidden for a while."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, 0.1, (frames, 6, 3)) + np.array([0.3, 0, 0.1])
    positions[..., 1] += np.linspace(0.05, 1.6, 6)
    positions[3:7, 2] = np.nan
    names = ("r.ASIS", "L_knee", "C7", "marker with blanks", "toe_r", "toe_l")
    return Markers(time_s=(first + np.arange(frames)) / rate_hz, names=names, positions_m=positions)


def test_what_we_write_is_read_back(tmp_path: Path) -> None:
    markers = standing()
    write_c3d(tmp_path / "a.c3d", markers)
    again = read_c3d(tmp_path / "a.c3d")
    assert again.markers.names == markers.names
    assert again.rate_hz == 100 and again.up.startswith("+y")
    np.testing.assert_allclose(again.markers.time_s, markers.time_s, atol=1e-12)
    np.testing.assert_allclose(again.markers.positions_m, markers.positions_m, atol=2e-7)


def test_another_program_reads_what_we_write(tmp_path: Path) -> None:
    """The package c3d shares no code with ezc3d."""
    reader = pytest.importorskip("c3d", reason="the second reader is not installed")
    markers = standing()
    write_c3d(tmp_path / "a.c3d", markers)
    with warnings.catch_warnings(), (tmp_path / "a.c3d").open("rb") as file:
        warnings.simplefilter("ignore")
        handle = reader.Reader(file)
        frames = {number: points for number, points, _ in handle.read_frames()}
        labels, rate_hz, first = [name.strip() for name in handle.point_labels], handle.point_rate, handle.first_frame
        units = handle.get("POINT").get("UNITS").string_value.strip()
    assert labels == list(markers.names) and rate_hz == 100 and units == "mm"
    assert first == 6  # one based in the file: frame 5 of a count from zero
    points = np.array([frames[number] for number in sorted(frames)])
    seen = np.isfinite(markers.positions_m[..., 0])
    np.testing.assert_array_equal(points[..., 3] >= 0, seen)
    np.testing.assert_allclose(points[seen][:, :3] / 1000, markers.positions_m[seen], atol=2e-7)


@pytest.mark.parametrize("scale", [-1.0, 0.1])
def test_a_file_of_another_program_is_read(tmp_path: Path, scale: float) -> None:
    """Written by the package c3d, as floats and as scaled integers, z up, in mm, without a stated axis."""
    other = pytest.importorskip("c3d", reason="the other writer is not installed")
    markers = standing(first=1)
    z_up = markers.positions_m @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # (x, y, z) -> (x, -z, y)
    writer = other.Writer(point_rate=100.0, point_scale=scale, point_units="mm  ")
    frames = []
    for row in z_up:
        points = np.zeros((6, 5), dtype=np.float32)
        points[:, :3] = np.nan_to_num(row) * 1000
        points[:, 3] = np.where(np.isfinite(row[:, 0]), 0, -1)
        frames.append((points, np.zeros((0, 0))))
    writer.add_frames(frames)
    writer.set_point_labels([f"{name:<20}" for name in markers.names])
    with warnings.catch_warnings(), (tmp_path / "b.c3d").open("wb") as file:
        warnings.simplefilter("ignore")
        writer.write(file)
    read = read_c3d(tmp_path / "b.c3d", up="z")
    assert read.markers.names == markers.names
    np.testing.assert_allclose(read.markers.positions_m, markers.positions_m, atol=2e-7 if scale < 0 else 1.1e-4)


def _raw(path: Path, markers: Markers, **parameters: str) -> None:
    content = ezc3d.c3d()
    points = np.ones((4, len(markers.names), len(markers.time_s)))
    points[:3] = markers.positions_m.transpose(2, 1, 0)
    content["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    content["parameters"]["POINT"]["LABELS"]["value"] = list(markers.names)
    content["parameters"]["POINT"]["UNITS"]["value"] = [parameters.pop("UNITS", "m")]
    for name, value in parameters.items():
        content.add_parameter("POINT", name, [value])
    content["data"]["points"] = points
    content.write(str(path))


@pytest.mark.parametrize(
    ("stated", "turn"),
    [
        ("+Z", [[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
        ("+X", [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        ("+Y", np.eye(3)),
        ("-Y", np.diag([1, -1, -1])),
    ],
)
def test_the_stated_vertical_axis_becomes_y(tmp_path: Path, stated: str, turn: list[list[float]]) -> None:
    markers = standing()
    _raw(tmp_path / "a.c3d", markers, Y_SCREEN=stated)
    read = read_c3d(tmp_path / "a.c3d")
    np.testing.assert_allclose(read.markers.positions_m, markers.positions_m @ np.array(turn, dtype=float).T, atol=1e-6)
    assert np.linalg.det(np.array(turn, dtype=float)) == pytest.approx(1)


def test_an_unstated_vertical_axis_is_recognised_or_asked_for(tmp_path: Path) -> None:
    markers = standing()
    _raw(tmp_path / "a.c3d", markers)
    assert read_c3d(tmp_path / "a.c3d").up.startswith("+y (the file states none")
    crouching = Markers(time_s=markers.time_s, names=markers.names, positions_m=markers.positions_m * [4, 0.6, 4])
    _raw(tmp_path / "b.c3d", crouching)
    with pytest.raises(InputError, match="--up"):
        read_c3d(tmp_path / "b.c3d")
    np.testing.assert_allclose(read_c3d(tmp_path / "b.c3d", up="y").markers.positions_m, crouching.positions_m, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000), st.sampled_from([25.0, 60.0, 59.94, 100.0, 1000.0]), st.integers(0, 99))
def test_any_markers_survive(tmp_path_factory: pytest.TempPathFactory, frames: int, first: int, rate: float, seed: int) -> None:
    path = tmp_path_factory.mktemp("c3d") / "a.c3d"
    markers = standing(frames, seed=seed, rate_hz=rate, first=first if frames > 1 else 0)
    write_c3d(path, markers)
    read = read_c3d(path).markers
    np.testing.assert_allclose(read.positions_m, markers.positions_m, atol=5e-7)
    np.testing.assert_allclose(read.time_s, markers.time_s, atol=2e-4)


def test_uneven_time_is_refused() -> None:
    assert even_rate_hz(np.round(np.arange(500) / 120, 3), "x") == pytest.approx(120, abs=0.02)
    with pytest.raises(InputError, match="resample"):
        even_rate_hz(np.array([0, 0.01, 0.02, 0.035, 0.04]), "x")


def test_malformed_files_give_one_clear_error_each(tmp_path: Path) -> None:
    good = tmp_path / "good.c3d"
    write_c3d(good, standing(400))
    data = good.read_bytes()
    cases = {
        "empty": (b"", "no C3D file"),
        "text": (b"PathFileType\t4\t(X/Y/Z)\tmarkers.trc\n" * 20, "no C3D file"),
        "half": (data[: len(data) // 2], "truncated"),
        "header_only": (data[:512], "C3D"),
        "parameters_cut": (data[:700], "damaged|truncated"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / f"{name}.c3d"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_c3d(path)
    with pytest.raises(FormatError, match="cannot be opened"):
        read_c3d(tmp_path / "nobody.c3d")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_parameters_never_reach_the_library(tmp_path: Path, seed: int) -> None:
    """ezc3d dies with the process on such files; a child process tries them."""
    write_c3d(tmp_path / "good.c3d", standing())
    script = (
        "import random, sys\nfrom pathlib import Path\nfrom hsmr_bio.converters.c3d import read_c3d\n"
        "from hsmr_bio.errors import HsmrBioError\n"
        "good, chance = Path(sys.argv[1]).read_bytes(), random.Random(int(sys.argv[2]))\n"
        "bad = Path(sys.argv[1]).with_name('bad.c3d')\n"
        "for _ in range(150):\n"
        "    data = bytearray(good)\n"
        "    for _ in range(chance.choice([1, 1, 3])):\n"
        "        data[chance.randrange(1500)] = chance.randrange(256)\n"
        "    bad.write_bytes(data)\n"
        "    try:\n        read_c3d(bad)\n    except HsmrBioError:\n        pass\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "good.c3d"), str(seed)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    _raw(tmp_path / "feet.c3d", standing(), UNITS="ft")
    with pytest.raises(FormatError, match="'ft'"):
        read_c3d(tmp_path / "feet.c3d")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    markers = standing()
    late = Markers(time_s=markers.time_s + 0.0043, names=markers.names, positions_m=markers.positions_m)
    with pytest.raises(HsmrBioError, match="shift the time"):
        write_c3d(tmp_path / "a.c3d", late)
    assert not list(tmp_path.iterdir())
