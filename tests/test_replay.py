"""A saved observation takes part in everything as a video does, cut as asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.errors import InputError
from hsmr_bio.estimators import EstimateOptions, get_estimator
from hsmr_bio.io.npz import save_observation
from hsmr_bio.types import Camera, Observation


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two seconds at 10 Hz that begin at 5 s."""
    frames = 21
    observation = Observation(
        time_s=5 + np.arange(frames) / 10,
        camera=Camera(image_size_px=(800, 600), focal_px=640, center_px=(400, 300), source="guess"),
        keypoint_set="coco17",
        keypoints_px=np.arange(frames * 34.0).reshape(frames, 17, 2),
        confidence=np.ones((frames, 17)),
    )
    save_observation(tmp_path / "o.npz", observation)
    return tmp_path / "o.npz"


def replayed(path: Path, **options: object) -> Observation:
    return get_estimator("replay").estimate(path, EstimateOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [({}, 0, 20), ({"start_s": 0.5}, 5, 20), ({"end_s": 1.0}, 0, 10), ({"start_s": 0.5, "end_s": 1.2}, 5, 12)],
)
def test_times_are_cut_on_both_sides_since_the_first_frame(
    saved: Path, options: dict[str, float], first: int, last: int
) -> None:
    found = replayed(saved, **options)
    assert found.keypoints_px[:, 0, 0].tolist() == [34.0 * n for n in range(first, last + 1)]
    kept = replayed(saved, **options, source_clock=True)
    np.testing.assert_allclose(kept.time_s, 5 + np.arange(first, last + 1) / 10)
    assert not options or found.time_s[0] == 0


def test_another_camera_can_be_given_and_pictures_cannot(saved: Path) -> None:
    assert replayed(saved).camera.source == "guess"
    assert replayed(saved, focal_px=700.0).camera.focal_px == 700.0
    assert replayed(saved, fov_deg=90.0).camera.focal_px == pytest.approx(400)
    for options in ({"person_box": (0, 0, 1, 1)}, {"fps_hz": 30.0}, {"slow_motion": 8.0}):
        with pytest.raises(InputError, match="no pictures"):
            replayed(saved, **options)
    with pytest.raises(InputError, match="lasts 2 s: there is nothing from 3 s on"):
        replayed(saved, start_s=3.0)
