"""The runtime of the pose networks against MediaPipe's own results, which tools/landmarks/golden.py made once."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.estimators.onnx_session import DATA
from hsmr_bio.estimators.pose_decoding import decode_detections, refine
from hsmr_bio.estimators.pose_networks import PoseNetworks
from hsmr_bio.estimators.regions import Region
from hsmr_bio.estimators.sampling import letterbox, sample_square

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = np.load(ROOT / "tests" / "data" / "mediapipe_landmarks.npz")
PICTURES = GOLDEN["pictures"]
SQUARES = [(int(n), Region(np.array([x, y]), side, turn)) for n, x, y, side, turn in GOLDEN["squares"]]
ARCHIVE = os.environ.get("HSMR_BIO_POSE_ARCHIVE", "")


@pytest.mark.parametrize(("network", "kernel"), [("full", 7), ("full", 9), ("heavy", 7), ("heavy", 9)])
def test_landmarks_are_mediapipes(network: str, kernel: int) -> None:
    with PoseNetworks(network, kernel=kernel) as networks:
        read = [networks.landmarks(PICTURES[n], [square])[0] for n, square in SQUARES]
    assert all(read)
    apart_px = np.linalg.norm([one.px for one in read] - GOLDEN[f"{network}{kernel}_px"], axis=-1)
    assert np.percentile(apart_px, 99) < 0.1
    assert np.median(apart_px) < 0.005
    np.testing.assert_allclose([one.world_m for one in read], GOLDEN[f"{network}{kernel}_world_m"], atol=0.5e-3)
    np.testing.assert_allclose([one.visibility for one in read], GOLDEN[f"{network}{kernel}_visibility"], atol=2e-3)


def test_detections_are_mediapipes() -> None:
    with PoseNetworks(min_score=0.3) as networks:
        found = [(n, one) for n, picture in enumerate(PICTURES) for one in networks.detect(picture)]
    rows = [(n, *one.region.center_px, one.region.side_px, one.region.rotation_rad, one.score) for n, one in found]
    np.testing.assert_allclose(rows, GOLDEN["detections"], atol=1e-3)


def test_parts_are_searched_in_the_whole_pictures_pixels() -> None:
    """A person who is small in a wide picture is found in a square of it, where the person is."""
    alone = PICTURES[0]
    wide = np.zeros((360, 4800, 3), dtype=np.uint8)
    wide[:, 4000:4480] = alone
    with PoseNetworks() as networks:
        (true,) = networks.detect(alone)
        assert networks.detect(wide) == []
        (found,) = networks.detect(wide, [(0, 0, 360, 360), (4000, 0, 4480, 360)])
    np.testing.assert_allclose(found.region.center_px, true.region.center_px + np.array([4000, 0]), atol=1e-6)
    assert found.region.side_px == pytest.approx(true.region.side_px)


def test_several_regions_give_what_each_gives_alone() -> None:
    regions = [square for n, square in SQUARES if n == 0]
    with PoseNetworks(threads=3) as side_by_side, PoseNetworks(threads=1) as one_by_one:
        together = side_by_side.landmarks(PICTURES[0], [*regions, Region(np.zeros(2), 0.0, 0.0)])
        assert together.pop() is None
        for one, region in zip(together, regions, strict=True):
            (alone,) = one_by_one.landmarks(PICTURES[0], [region])
            np.testing.assert_array_equal(one.px, alone.px)
            np.testing.assert_array_equal(one.world_m, alone.world_m)


def test_without_a_person_there_are_no_landmarks() -> None:
    noise = np.random.default_rng(0).integers(0, 255, PICTURES[0].shape, dtype=np.uint8)
    with PoseNetworks() as networks:
        assert networks.landmarks(noise, [letterbox(noise)]) == [None]


@pytest.mark.parametrize("zero_border", [False, True])
def test_a_square_is_sampled_at_thirty_seconds_of_a_pixel(zero_border: bool) -> None:
    """Bilinear with 5-bit positions and 10-bit weights, computed here with integers."""
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    square, size = Region(np.array([101.3, 20.7]), 77.0, 0.4), 64
    sampled = sample_square(picture, square, size, zero_border=zero_border)
    for row, column in rng.integers(0, size, (200, 2)):
        along, down = (column - size / 2) * 77 / size, (row - size / 2) * 77 / size
        x = round(32 * (101.3 + along * np.cos(0.4) - down * np.sin(0.4)))
        y = round(32 * (20.7 + along * np.sin(0.4) + down * np.cos(0.4)))
        total = np.zeros(3, dtype=int)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (y % 32 if i else 32 - y % 32) * (x % 32 if j else 32 - x % 32)
            inside = 0 <= y // 32 + i < 90 and 0 <= x // 32 + j < 120
            value = picture[min(max(y // 32 + i, 0), 89), min(max(x // 32 + j, 0), 119)].astype(int)
            total += weight * value * (inside or not zero_border)
        np.testing.assert_array_equal(sampled[row, column], (total + 512) >> 10)


def test_a_far_square_is_all_border() -> None:
    """Positions beyond 16 bits do not come round to the other side."""
    picture = np.full((10, 10, 3), 200, dtype=np.uint8)
    far = Region(np.array([1e6, 5.0]), 10.0, 0.0)
    assert sample_square(picture, far, 8, zero_border=True).max() == 0
    assert sample_square(picture, far, 8).min() == 200


def test_refinement_takes_the_weighted_mean_of_the_window() -> None:
    heatmap = np.full((5, 64, 64), -100.0, dtype=np.float32)
    heatmap[0, 20, 30], heatmap[0, 20, 34] = 100, 100  # both in the window of 9 around column 30, one in that of 7
    heatmap[1, 10, 10] = -0.01  # below a weight of one half
    heatmap[2, 0, 0] = 100
    heatmap[3, 20, 30] = 100
    points = np.array([[30.5, 20.9], [10.0, 10.0], [0.2, 1.9], [70.0, 20.0], [-0.5, 3.0]]) / 64
    nine, seven = 64 * refine(points, heatmap, 9), 64 * refine(points, heatmap, 7)
    np.testing.assert_allclose(nine[0], (32, 20))
    np.testing.assert_allclose(seven[0], (30, 20))
    np.testing.assert_allclose(nine[1], (10, 10))
    np.testing.assert_allclose(nine[2], (0, 0), atol=1e-12)
    np.testing.assert_allclose(nine[3], (70, 20), err_msg="outside the heatmap it stays")
    np.testing.assert_allclose(nine[4], (-0.5, 3.0), err_msg="no clear cell: it stays")


def test_overlapping_boxes_are_one_person_weighted_by_score() -> None:
    boxes, scores = np.zeros((2254, 12), np.float32), np.full((2254, 1), -100, np.float32)
    boxes[:, 2:4] = 50
    boxes[:, 7] = -80
    first, neighbour, far = 28 * 2 * 14 + 28, 28 * 2 * 14 + 30, 0  # one cell of 8 px apart; the corner
    scores[[first, neighbour, far], 0] = np.log([0.9 / 0.1, 0.6 / 0.4, 0.4 / 0.6])
    square = Region(np.array([112.0, 112.0]), 224.0, 0.0)
    people = decode_detections(boxes, scores, square, 0.3)
    assert [round(one.score, 6) for one in people] == [0.9, 0.4]
    assert people[0].region.center_px[0] == pytest.approx(116 + 8 * 0.6 / 1.5)
    assert people[0].region.side_px == pytest.approx(2 * 1.25 * 80)
    np.testing.assert_allclose(people[1].region.center_px, (4, 4))
    assert len(decode_detections(boxes, scores, square, 0.5)) == 1
    boxes[first, 2] = -50
    assert decode_detections(boxes, scores, square, 0.8) == [], "a box of negative size"


@pytest.mark.parametrize(("device", "advice"), [("cuda", "pip install onnxruntime-gpu"), ("mps", "only cpu and cuda")])
def test_a_device_that_is_not_used_is_said(device: str, advice: str, caplog: pytest.LogCaptureFixture) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has a CUDA provider")
    with caplog.at_level(logging.WARNING, "hsmr_bio"), PoseNetworks(device=device, threads=2) as networks:
        assert networks.landmarks(PICTURES[0], [SQUARES[0][1]])[0] is not None
        assert len(networks.landmarks(PICTURES[0], [SQUARES[0][1]] * 2)) == 2  # a third network
    assert advice in caplog.text and caplog.text.count("run on the processor") == 1, "once, not for each network"


# ---------------------------------------------------------------- the files


def test_the_networks_are_those_that_the_script_made() -> None:
    listed = dict(reversed(line.split()) for line in (DATA / "pose_networks.sha256").read_text().splitlines())
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("*.onnx")}
    notice = (ROOT / "NOTICE").read_text()
    assert "@mediapipe/pose 0.5.1675469404" in notice and "Apache License" in notice


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE, reason="needs HSMR_BIO_POSE_ARCHIVE, the npm package that tools/landmarks/build.py reads")
@pytest.mark.skipif(importlib.util.find_spec("tflite") is None, reason="needs the extra build-landmarks")
def test_the_build_gives_the_same_bytes(tmp_path: Path) -> None:
    script = ROOT / "tools" / "landmarks" / "build.py"
    subprocess.run([sys.executable, str(script), ARCHIVE, "--out", str(tmp_path)], check=True, capture_output=True)
    assert (tmp_path / "pose_networks.sha256").read_text() == (DATA / "pose_networks.sha256").read_text()
