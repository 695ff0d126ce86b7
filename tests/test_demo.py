"""The demo clip doubles as ground truth: its truth must belong to the clip, to the body and to the model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.checks.limits import check_limits
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.npz import load_motion
from hsmr_bio.io.video import open_video
from hsmr_bio.mapping import to_coordinates
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import SkelMotion

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, TOOLS = ROOT / "examples", ROOT / "tools" / "demo"


@pytest.fixture(scope="module")
def truth() -> SkelMotion:
    return load_motion(EXAMPLES / "demo_truth.npz")


def test_the_clip_is_small_and_as_long_as_its_truth(truth: SkelMotion) -> None:
    clip = EXAMPLES / "demo.mp4"
    assert clip.stat().st_size < 1.5e6
    times = [frame.time_s for frame in open_video(clip, max_side_px=64)]
    np.testing.assert_allclose(times, truth.time_s, atol=1e-3)


def test_the_truth_belongs_to_the_open_body(truth: SkelMotion, open_body) -> None:
    """If this fails, the body was built anew: python tools/demo/render_demo.py --truth-only."""
    assert truth.body == open_body.name
    assert truth.frame == "world"


@pytest.mark.slow
def test_the_truth_is_a_possible_motion(truth: SkelMotion, open_body) -> None:
    report = check_limits(truth)
    assert not [row.name for row in report.outside if row.worst_excess_si > np.radians(1)]
    assert np.degrees(np.abs(np.diff(truth.poses_rad, axis=0))).max() < 15
    pose = open_body.forward(truth.poses_rad, truth.betas, truth.trans_m, skin=True)
    lowest = pose.skin_m.numpy()[..., 1].min(axis=1)
    assert lowest.min() > -0.025 and lowest.max() < 0.02, "somebody always touches the floor, nobody is in it"
    for side in "rl":
        heel = pose.joints_m.numpy()[:, JOINT_NAMES.index(f"calcn_{side}")]
        speed = np.linalg.norm(np.gradient(heel, 1 / 30, axis=0), axis=1)
        still = heel[:, 1] < heel[:, 1].min() + 0.004
        assert still.sum() > 60
        assert np.percentile(speed[still], 90) < 0.1, "a foot that stands does not slide"


def test_the_coordinates_are_those_of_the_scaled_model(truth: SkelMotion, open_body) -> None:
    subject = scale_model(open_body, truth.betas)
    mapped = to_coordinates(truth, subject, open_body)
    stored = read_mot(EXAMPLES / "demo_truth.mot", OsimDocument.from_bytes(subject.osim_xml))
    assert stored.coordinates == mapped.coordinates
    knee = mapped.coordinates.index("knee_angle_r")
    np.testing.assert_allclose(stored.values_si[:, knee], mapped.values_si[:, knee], atol=np.radians(1))


@pytest.mark.skipif(not TOOLS.is_dir(), reason="the tools that draw the clip are not here")
def test_the_clip_shows_the_truth(truth: SkelMotion, open_body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one picture again, and look at the clip: the person covers the same pixels."""
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("motion", "renderer", "render_demo"):
        sys.modules.pop(name, None)
    import render_demo
    from renderer import Scene, View

    assert truth.camera is not None
    rotation = np.array(truth.notes["world_to_camera_rotation"])
    view = View(
        rotation, np.array(truth.notes["world_to_camera_translation_m"]), truth.camera.focal_px, truth.camera.image_size_px
    )
    frame = 105
    points = (
        open_body.forward(truth.poses_rad[frame], truth.betas, truth.trans_m[frame : frame + 1], skin=True).skin_m[0].numpy()
    )
    drawn = Scene(view, fine=1).draw(points, open_body.faces, render_demo.clothes(open_body)).astype(int)
    shown = next(f.rgb for f in open_video(EXAMPLES / "demo.mp4", start_s=truth.time_s[frame] - 0.01)).astype(int)
    assert np.abs(drawn - shown).mean() < 4, "grey levels over the whole picture"
    shirt = [(p[..., 2] > p[..., 0] + 60) & (p[..., 2] > 90) & (p[..., 1] < 120) for p in (drawn, shown)]
    assert (shirt[0] & shirt[1]).sum() > 0.85 * (shirt[0] | shirt[1]).sum()
