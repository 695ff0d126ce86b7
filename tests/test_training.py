"""Training pieces: filters, augmentation, pseudo labels, shards, and a small network that learns."""

from __future__ import annotations

import io
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from hsmr_bio.body import load_body  # noqa: E402
from hsmr_bio.errors import EstimationError, FormatError, InputError  # noqa: E402
from hsmr_bio.fitting.skelify.hsmr_points import HsmrPoints  # noqa: E402
from hsmr_bio.fitting.skelify.objective import REFINE, Schedule, Stage  # noqa: E402
from hsmr_bio.hsmr.camera import camera_to_translation, project  # noqa: E402
from hsmr_bio.hsmr.config import BackboneConfig, HeadConfig, HsmrConfig  # noqa: E402
from hsmr_bio.hsmr.network import Hsmr  # noqa: E402
from hsmr_bio.hsmr.pose import MEAN_POSE_RAD, rotate_in_image  # noqa: E402
from hsmr_bio.training import pseudo_labels  # noqa: E402
from hsmr_bio.training.augmentation import CROPS, Augmentation, augment, crop_to, draw  # noqa: E402
from hsmr_bio.training.data import Item, filtered, make_item, read_shard  # noqa: E402
from hsmr_bio.training.loop import TrainOptions, train  # noqa: E402
from hsmr_bio.training.pseudo_labels import PseudoLabels, Samples, StoredLabel  # noqa: E402

SIDE = 256


@pytest.fixture(scope="module")
def points() -> HsmrPoints:
    return HsmrPoints.from_table(load_body("open"))


def person(seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    keypoints = np.concatenate([rng.uniform(40, 160, (44, 2)), np.ones((44, 1))], axis=1)
    return {
        "center": np.array([100.0, 100.0]),
        "scale": np.array([0.8, 0.6]),
        "keypoints_2d": keypoints,
        "keypoints_3d": np.concatenate([rng.standard_normal((44, 3)), np.ones((44, 1))], axis=1),
        "orig_poses": 0.1 * rng.standard_normal(46),
        "orig_betas": 0.5 * rng.standard_normal(10),
        "orig_pve_max": 0.02,
        "flip_poses": 0.1 * rng.standard_normal(46),
        "flip_betas": 0.5 * rng.standard_normal(10),
        "flip_pve_max": 0.02,
        "extra_info": {"fitting_loss": {"reprojection_loss": 100.0}},
    }


def test_good_people_pass_the_filters() -> None:
    found = filtered(person(), "a_0")
    assert found is not None
    assert found.side_px == 160
    assert found.label.has_poses and found.label.has_betas


@pytest.mark.parametrize(
    ("change", "poses", "betas"),
    [({"orig_pve_max": 0.07}, False, 0), ({"orig_pve_max": np.nan}, False, 0), ({"orig_betas": np.full(10, 3.5)}, False, 0)],
)
def test_bad_labels_do_not_count_and_betas_are_pulled_to_zero(change: dict, poses: bool, betas: float) -> None:
    found = filtered(person() | change, "a_0")
    assert found is not None
    assert found.label.has_poses is poses
    assert found.label.has_betas and (found.label.betas == betas).all()
    assert found.mirrored_label.has_poses


def test_nan_poses_do_not_count() -> None:
    entry = person()
    entry["orig_poses"][3] = np.nan
    found = filtered(entry, "a_0")
    assert found is not None and not found.label.has_poses and np.isfinite(found.label.poses_rad).all()


def test_people_with_hardly_a_keypoint_are_dropped() -> None:
    entry = person()
    entry["keypoints_2d"][4:, 2] = 0.29
    assert filtered(entry, "a_0") is None
    entry["keypoints_2d"][4, 2] = 0.3
    assert filtered(entry, "a_0") is not None
    assert filtered(person() | {"extra_info": {"fitting_loss": {"reprojection_loss": 31000}}}, "a_0") is None


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_pixels_and_keypoints_move_together(seed: int) -> None:
    """A bright dot stays under its keypoint through every augmentation."""
    rng = np.random.default_rng(seed)
    image = np.zeros((200, 220, 3), dtype=np.uint8)
    x, y = rng.integers(80, 130, 2)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    keypoints = np.zeros((44, 3))
    keypoints[:] = [x, y, 1]
    how = replace(draw(rng, keypoints), crop=None)
    out = augment(image, np.array([100.0, 100.0, 160.0]), keypoints, np.zeros((44, 4)), how)
    weight = out.patch[..., 0].astype(float)
    if weight.sum() == 0:
        return
    rows, columns = np.mgrid[:SIDE, :SIDE]
    seen = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    expected = (out.keypoints_2d[0, :2] + 0.5) * SIDE
    if np.all((expected > 8) & (expected < SIDE - 8)):
        np.testing.assert_allclose(seen, expected, atol=0.6)


def test_an_extreme_crop_zooms_to_what_is_left() -> None:
    keypoints = person()["keypoints_2d"]
    for part, (removed, _) in CROPS.items():
        box, left = crop_to(part, np.array([100.0, 100, 160, 160]), keypoints)
        assert (left[list(removed), 2] == 0).all()
        seen = left[left[:, 2] > 0, :2]
        assert (np.abs(seen - box[:2]) <= box[2:] / 2).all(), part


def test_a_flipped_item_takes_the_label_of_the_mirror_image() -> None:
    entry = filtered(person(), "a_0")
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    plain, flipped = (make_item(image, entry, Augmentation(flip=flip)) for flip in (False, True))
    assert (plain.uid, flipped.uid) == ("a_0_orig", "a_0_flip")
    np.testing.assert_allclose(flipped.poses_rad, entry.mirrored_label.poses_rad, atol=1e-6)
    assert plain.patch.shape == (3, SIDE, SIDE)


def write_shard(path: Path, entries: object) -> None:
    png = (
        b"\x89PNG\r\n\x1a\n"
        + bytes.fromhex("0000000d49484452000000010000000108020000009077 53de".replace(" ", ""))
        + bytes.fromhex("0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082")
    )
    with tarfile.open(path, "w") as archive:
        for name, data in (("000.png", png), ("000.data.pyd", pickle.dumps(entries))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_a_shard_is_read_without_running_it(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [person(), person(1)])
    ((image, people),) = read_shard(tmp_path / "a.tar")
    assert image.shape == (1, 1, 3)
    assert [p.uid for p in people] == ["000_0", "000_1"]
    write_shard(tmp_path / "b.tar", [print])
    with pytest.raises(FormatError, match="print"):
        list(read_shard(tmp_path / "b.tar"))
    (tmp_path / "c.tar").write_bytes(b"no tar")
    with pytest.raises(FormatError, match="shard"):
        list(read_shard(tmp_path / "c.tar"))
    with pytest.raises(InputError):
        list(read_shard(tmp_path / "d.tar"))


def blobs(points: HsmrPoints, count: int, seed: int) -> list[Item]:
    """People drawn as coloured dots at their keypoints."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.array(MEAN_POSE_RAD), (count, 1)) + 0.2 * rng.standard_normal((count, 46))
    betas = 0.3 * rng.standard_normal((count, 10))
    camera = np.column_stack([rng.uniform(0.7, 1.0, count), 0.1 * rng.standard_normal((count, 2))])
    where = points(torch.tensor(poses), torch.tensor(betas))
    seen = project(where, camera_to_translation(torch.tensor(camera))).numpy()
    colours = np.random.default_rng(0).uniform(-2, 2, (44, 3))
    items = []
    for i in range(count):
        patch = np.zeros((3, SIDE, SIDE), dtype=np.float32)
        for (x, y), colour in zip((seen[i] + 0.5) * SIDE, colours, strict=True):
            rows, columns = slice(max(int(y) - 6, 0), max(int(y) + 7, 0)), slice(max(int(x) - 6, 0), max(int(x) + 7, 0))
            patch[:, rows, columns] = colour[:, None, None]
        items.append(
            Item(
                uid=f"p{i}_orig",
                patch=torch.from_numpy(patch),
                keypoints_2d=torch.tensor(np.concatenate([seen[i], np.ones((44, 1))], axis=1), dtype=torch.float32),
                keypoints_3d=torch.cat([where[i], torch.ones(44, 1)], dim=1).float(),
                poses_rad=torch.tensor(poses[i], dtype=torch.float32),
                betas=torch.tensor(betas[i], dtype=torch.float32),
                has_poses=1.0,
                has_betas=1.0,
                rotation_rad=0.0,
                extreme_crop=False,
            )
        )
    return items


def small_network() -> Hsmr:
    torch.manual_seed(0)
    head = HeadConfig(context_width=48, width=64, layers=2, heads=2, head_width=16, mlp_width=64)
    return Hsmr(HsmrConfig(backbone=BackboneConfig(width=48, blocks=2, heads=4), head=head))


@pytest.mark.slow
def test_a_small_network_learns(points: HsmrPoints) -> None:
    items = blobs(points, 8, seed=1)
    steps = list(train(small_network(), points, [items] * 24, TrainOptions(learning_rate=2e-3, pseudo_labels=False)))
    assert [step.number for step in steps] == list(range(1, 25))
    first, last = (np.mean([step.total for step in part]) for part in (steps[:3], steps[-3:]))
    assert last < 0.6 * first
    assert set(steps[0].losses) == {"kp3d", "kp2d", "poses_orient", "poses_body", "betas", "prior"}


@pytest.mark.slow
def test_training_refines_labels_in_rounds(points: HsmrPoints) -> None:
    store = PseudoLabels()
    options = TrainOptions(learning_rate=1e-3, every_steps=3, warm_up_steps=1, latest_samples=4)
    steps = list(train(small_network(), points, [blobs(points, 2, seed=s) for s in range(3)], options, store=store))
    assert [step.accepted is None for step in steps] == [True, True, False]
    assert len(store) == 2


def test_a_loss_that_is_not_finite_is_named(points: HsmrPoints) -> None:
    items = [replace(item, keypoints_2d=torch.full((44, 3), float("nan"))) for item in blobs(points, 2, seed=0)]
    with pytest.raises(EstimationError, match="kp2d"):
        list(train(small_network(), points, [items]))


def stored(poses: torch.Tensor) -> StoredLabel:
    ones = torch.ones(len(poses))
    return StoredLabel(poses_rad=poses, betas=torch.zeros(len(poses), 10), has_poses=ones, has_betas=ones)


def test_a_better_fit_replaces_its_label_with_the_rotation_taken_back(points: HsmrPoints, tmp_path: Path) -> None:
    truth = torch.tensor([MEAN_POSE_RAD]).repeat(2, 1)
    turn = torch.tensor([0.4, 0.4])
    shown = rotate_in_image(truth, turn)
    translation = camera_to_translation(torch.tensor([[0.9, 0.0, 0.0]])).repeat(2, 1)
    seen = torch.cat([project(points(shown, torch.zeros(2, 10)), translation), torch.ones(2, 44, 1)], dim=2)
    wrong = truth.clone()
    wrong[:, 3] += 0.6
    samples = Samples(
        uids=["a", "b"],
        keypoints_2d=seen,
        predicted_poses_rad=shown,
        predicted_betas=torch.zeros(2, 10),
        predicted_translation_m=translation,
        label=stored(torch.stack([wrong[0], truth[1]])),
        rotation_rad=turn,
        extreme_crop=torch.tensor([False, True]),
    )
    store = PseudoLabels()
    still = Schedule(stages=(Stage(name="still", loops=1, shape=5, angle=0.01),), gradient_tolerance=1e-7)
    accepted = store.update(points, samples, schedule=still)
    assert accepted.tolist() == [True, False], "an extreme crop is never accepted"
    label = store.apply(["a", "b", "c"], stored(torch.zeros(3, 46)))
    difference = torch.remainder(label.poses_rad[:2] - truth + np.pi, 2 * np.pi) - np.pi
    assert difference[:, :3].abs().max() < 0.05
    assert (label.poses_rad[2] == 0).all()
    store.save(tmp_path / "labels.npz")
    again = PseudoLabels.load(tmp_path / "labels.npz").apply(["a"], stored(torch.zeros(1, 46)))
    torch.testing.assert_close(again.poses_rad[0], label.poses_rad[0])
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(FormatError):
        PseudoLabels.load(tmp_path / "bad.npz")


def test_of_two_fits_of_one_person_the_better_stays() -> None:
    store = PseudoLabels()
    poses = torch.stack([torch.full((46,), 0.1), torch.full((46,), 0.2)])
    candidate = pseudo_labels.Candidate(poses_rad=poses, betas=torch.zeros(2, 10), keypoint_error=torch.tensor([1e-4, 2e-4]))
    store.put(["a", "a"], stored(poses), candidate, torch.tensor([True, True]))
    assert float(store.apply(["a"], stored(torch.zeros(1, 46))).poses_rad[0, 5]) == pytest.approx(0.1)
    assert REFINE.stages[0].loops == 10
