"""The whole road with HSMR: real frames, seeded weights of the released layout, a body of SKEL's schema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hsmr_bio.cli import main  # noqa: E402
from hsmr_bio.hsmr.config import BackboneConfig, HeadConfig, HsmrConfig  # noqa: E402
from hsmr_bio.hsmr.network import Hsmr  # noqa: E402
from hsmr_bio.io.mot import read_mot  # noqa: E402
from hsmr_bio.io.npz import load_motion, load_observation  # noqa: E402
from hsmr_bio.io.trc import read_trc  # noqa: E402

pytestmark = [pytest.mark.assets, pytest.mark.slow]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official file's layout, with fewer blocks and a quiet head: nearly the mean person."""
    torch.manual_seed(0)
    head = HeadConfig(context_width=768, width=64, layers=1, heads=8, head_width=8, mlp_width=64)
    network = Hsmr(HsmrConfig(backbone=BackboneConfig(width=768, blocks=1, heads=12), head=head))
    for layer in (network.head.poses_decoder, network.head.betas_decoder, network.head.cam_decoder):
        torch.nn.init.normal_(layer.weight, std=0.002)
        torch.nn.init.zeros_(layer.bias)
    path = tmp_path_factory.mktemp("weights") / "hsmr.ckpt"
    torch.save({"state_dict": network.state_dict() | {"skel_model.parent": torch.zeros(3)}, "epoch": 1}, path)
    return path


@pytest.mark.parametrize("refine", [False, True])
def test_a_video_becomes_opensim_files(
    refine: bool, checkpoint: Path, shared: Path, synthetic_male: Path, tmp_path: Path
) -> None:
    video = shared / "data" / "video" / "pose2sim_single" / "cam01.mp4"
    out = tmp_path / "out"
    command = ["image2mot", str(video), "-o", str(out), "--end", "0.5", "--save-observation", "--quiet"]
    method = ["--estimator", "hsmr", "--checkpoint", str(checkpoint), "--body", str(synthetic_male / "skel_male.pkl")]
    assert main([*command, *method, *(["--refine"] if refine else [])]) in (0, 3)
    observation = load_observation(out / "cam01_observation.npz")
    assert observation.skel_body == "skel_male@1.1.1"
    frames = len(observation.time_s)
    assert observation.skel_poses_rad.shape == (frames, 46) and np.isfinite(observation.skel_poses_rad).all()
    motion, coordinates, markers = load_motion(out / "cam01_skel.npz"), read_mot(out / "cam01.mot"), read_trc(out / "cam01.trc")
    assert motion.body == "skel_male@1.1.1" and motion.frame == "world"
    np.testing.assert_allclose(motion.betas, np.median(observation.skel_betas, axis=0))
    assert len(motion.time_s) == len(coordinates.time_s) == len(markers.time_s) == frames
    assert np.isfinite(coordinates.values_si).all() and np.isfinite(markers.positions_m).all()
    names = {"cam01.osim", "cam01_report.html", "cam01_report.json", "cam01_setup_ik.xml", "Geometry"}
    assert names <= {path.name for path in out.iterdir()}
    limbs = [f"{name}_{side}" for name in ("hip_flexion", "knee_angle", "elbow_flexion") for side in "rl"]
    moved = max(np.ptp(np.degrees(coordinates.column(name))) for name in limbs)
    assert moved > 15 if refine else moved < 10, "only the landmarks know that this person moves"


def test_without_weights_the_command_says_what_to_get(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HSMR_BIO_ASSETS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    video = shared / "data" / "video" / "pose2sim_single" / "cam01.mp4"
    assert main(["image2mot", str(video), "-o", str(tmp_path / "out"), "--estimator", "hsmr"]) == 1
    error = capsys.readouterr().err
    assert "HSMR-ViTH-r1d1" in error and "hsmr-bio setup" in error
    assert not (tmp_path / "out").exists()
