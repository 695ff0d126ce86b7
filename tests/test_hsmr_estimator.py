"""HSMR as an estimator on real and drawn video, with small seeded weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
av = pytest.importorskip("av")

from hsmr_bio.errors import EstimationError, FormatError, InputError, MissingAssetError  # noqa: E402
from hsmr_bio.estimators import EstimateOptions, get_estimator  # noqa: E402
from hsmr_bio.estimators.hsmr import BODY, HsmrEstimator, read_boxes  # noqa: E402
from hsmr_bio.hsmr.camera import camera_to_translation, full_image_translation, project, translation_for_focal  # noqa: E402
from hsmr_bio.hsmr.config import FOCAL_PX, BackboneConfig, HeadConfig, HsmrConfig  # noqa: E402
from hsmr_bio.hsmr.crops import crop_window, normalise, square_box  # noqa: E402
from hsmr_bio.hsmr.network import Hsmr  # noqa: E402

VIDEO = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "video" / "pose2sim_single" / "cam01.mp4"


def network() -> Hsmr:
    torch.manual_seed(0)
    head = HeadConfig(context_width=48, width=64, layers=1, heads=2, head_width=16, mlp_width=32)
    return Hsmr(HsmrConfig(backbone=BackboneConfig(width=48, blocks=1, heads=4), head=head)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A drawn video without a person, stored without loss, and its frames."""
    path = tmp_path_factory.mktemp("clip") / "drawn.mkv"
    frames = np.random.default_rng(0).integers(0, 255, (5, 120, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "bgr0"
        for rgb in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path, frames


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text("frame,x0,y0,x1,y1\n0,20,10,80,110\n1,22,10,82,110\n3,30,12,90,112\n")
    return path


def test_given_boxes_are_predicted_frame_by_frame(clip: tuple[Path, np.ndarray], boxes: Path) -> None:
    path, frames = clip
    net = network()
    seen = HsmrEstimator(network=net, batch=2).estimate(path, EstimateOptions(boxes=boxes, focal_px=200.0))
    assert seen.skel_body == BODY
    assert seen.skel_poses_rad.shape == (5, 46)
    np.testing.assert_array_equal(np.isfinite(seen.skel_poses_rad).all(axis=1), [True, True, False, True, False])
    box = square_box([30, 12, 90, 112])
    out = net(normalise(crop_window(frames[3], box)[None]))
    np.testing.assert_allclose(seen.skel_poses_rad[3], out.poses_rad[0], atol=1e-5)
    np.testing.assert_allclose(seen.skel_betas[3], out.betas[0], atol=1e-5)
    x, y, z = seen.skel_trans_m[3]
    patch = project(torch.zeros(1, 1, 3), out.translation_m)[0, 0]
    expected = box[:2] + patch.numpy() * box[2]
    np.testing.assert_allclose([200 * x / z + 80, 200 * y / z + 60], expected, atol=1e-3)


def test_without_weights_nothing_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HSMR_BIO_ASSETS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(MissingAssetError, match="HSMR-ViTH-r1d1"):
        get_estimator("hsmr").estimate(tmp_path / "no_such_video.mp4")


def test_nobody_and_no_boxes_is_an_error(clip: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(EstimationError, match="no person"):
        HsmrEstimator(network=network()).estimate(clip[0])


def test_weights_that_give_nonsense_are_an_error(clip: tuple[Path, np.ndarray], boxes: Path) -> None:
    net = network()
    net.head.betas_decoder.bias.fill_(float("nan"))
    with pytest.raises(EstimationError, match="not finite"):
        HsmrEstimator(network=net).estimate(clip[0], EstimateOptions(boxes=boxes))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("frame,x0,y0,x1\n", "y1 is missing"),
        ("frame,x0,y0,x1,y1\n0,a,0,1,1\n", "line 2"),
        ("frame,x0,y0,x1,y1\n0,5,0,1,1\n", "not a box"),
    ],
)
def test_files_of_boxes_that_are_wrong(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(FormatError, match=problem):
        read_boxes(path)
    with pytest.raises(InputError):
        read_boxes(tmp_path / "none.csv")


def test_another_focal_length_keeps_the_person_in_place() -> None:
    translation = camera_to_translation(torch.tensor([[0.8, 0.1, -0.2]], dtype=torch.float64))
    size = torch.tensor([[1920.0, 1080.0]], dtype=torch.float64)
    full = full_image_translation(translation, torch.tensor([[700.0, 500.0, 600.0]], dtype=torch.float64), size)
    same = translation_for_focal(full, (1920, 1080), (960, 540), FOCAL_PX)
    torch.testing.assert_close(same, full)
    near = translation_for_focal(full, (1920, 1080), (950, 560), 1500.0)
    torch.testing.assert_close(
        1500 * near[:, :2] / near[:, 2:] + torch.tensor([950.0, 560]), FOCAL_PX * full[:, :2] / full[:, 2:] + size / 2
    )
    assert float(near[0, 2]) == pytest.approx(float(full[0, 2]) * 1500 / FOCAL_PX)


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.skipif(not VIDEO.is_file(), reason="no real video in ../shared")
def test_a_real_person_is_followed_and_predicted() -> None:
    seen = HsmrEstimator(network=network()).estimate(VIDEO, EstimateOptions(end_s=0.25))
    assert len(seen.time_s) > 10
    assert np.isfinite(seen.skel_poses_rad).all() and np.isfinite(seen.skel_trans_m).all()
    assert seen.keypoint_set == "blazepose33" and seen.seen.all()
    middle = np.nanmean(seen.keypoints_px, axis=1)
    camera = seen.camera
    root = camera.focal_px * seen.skel_trans_m[:, :2] / seen.skel_trans_m[:, 2:] + camera.center_px
    assert np.linalg.norm(root - middle, axis=1).max() < 0.3 * camera.image_size_px[1]
