"""BVH against another reader and writer (bvhio) and against a file written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.converters.animation import Animation, from_world
from hsmr_bio.converters.bvh import continuous_zxy, read_bvh, write_bvh
from hsmr_bio.errors import FormatError, InputError

BY_HAND = """HIERARCHY
ROOT Hips
{
  OFFSET 0.0 90.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation
  JOINT LeftArm {
    OFFSET 70.0 0.0 0.0
    CHANNELS 3 Yrotation Zrotation Xrotation
    End Site
    {
      OFFSET 90.0 0.0 0.0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
1.0 92.0 3.0 0 0 0 0 90 0
0.0 90.0 0.0 0 90 0 0 0 0
"""


def moving_tree(frames: int = 30, *, still: bool = True, seed: int = 1) -> Animation:
    """Five bones with large smooth turns; the third slides in its parent unless ``still``."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(frames) / 50
    parents = (-1, 0, 1, 0, 3)
    offsets = np.array([[0, 0.9, 0], [0, 0.4, 0.02], [0.1, 0.3, 0], [0.1, -0.4, 0], [0, -0.45, 0.03]])
    rest = offsets.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rest[joint] += rest[parent]
    phase, speed = rng.uniform(0, 6, (5, 3)), rng.uniform(0.5, 2, (5, 3))
    vectors = 1.2 * np.sin(time_s[:, None, None] * speed * 3 + phase)
    local = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(frames, 5, 3, 3)
    translations = np.repeat(offsets[None], frames, axis=0)
    translations[:, 0] += time_s[:, None] * [1.0, 0.1, 0.2]
    if not still:
        translations[:, 2, 1] += 0.01 * np.sin(9 * time_s)
    names = ("pelvis", "spine", "head", "thigh_r", "shank_r")
    return Animation(time_s=time_s, names=names, parents=parents, rest_m=rest, rotations=local, translations_m=translations)


def test_what_we_write_is_read_back(tmp_path: Path) -> None:
    animation = moving_tree()
    assert write_bvh(tmp_path / "a.bvh", animation) < 1e-9
    again = read_bvh(tmp_path / "a.bvh")
    assert again.animation.names == ("pelvis", "spine", "head", "thigh_r", "shank_r") and again.unit.startswith("cm")
    np.testing.assert_allclose(again.animation.world()[0], animation.world()[0], atol=1e-6)
    np.testing.assert_allclose(again.animation.world()[1], animation.world()[1], atol=1e-6)
    np.testing.assert_allclose(again.animation.time_s, animation.time_s, atol=1e-6)


def test_another_program_reads_the_same_joints(tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio", reason="the independent reader is not installed")
    animation = moving_tree()
    write_bvh(tmp_path / "a.bvh", animation)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    positions = animation.world()[0]
    for frame in (0, 7, 29):
        root.loadPose(frame)
        for joint, name in enumerate(animation.names):
            other = np.array(root.filter(name, isEqual=True)[0].PositionWorld.to_tuple()) / 100
            np.testing.assert_allclose(other, positions[frame, joint], atol=2e-5, err_msg=f"{name} in frame {frame}")


def test_a_file_of_another_program_is_read(tmp_path: Path) -> None:
    """bvhio reads ours, writes it in its own layout and order of channels, and we read that."""
    bvhio = pytest.importorskip("bvhio", reason="the independent writer is not installed")
    animation = moving_tree()
    write_bvh(tmp_path / "a.bvh", animation)
    bvhio.writeBvh(str(tmp_path / "b.bvh"), bvhio.readAsBvh(str(tmp_path / "a.bvh")))
    again = read_bvh(tmp_path / "b.bvh").animation
    np.testing.assert_allclose(again.world()[0], animation.world()[0], atol=2e-5)


def test_a_file_written_by_hand_means_what_it_says(tmp_path: Path) -> None:
    """The arm hangs 0.7 m to the side; the second frame turns the hips by 90 degrees about y: +x goes to -z."""
    (tmp_path / "hand.bvh").write_text(BY_HAND)
    read = read_bvh(tmp_path / "hand.bvh")
    positions, turns = read.animation.world()
    assert read.unit.startswith("cm")
    np.testing.assert_allclose(positions[:, 0], [[0.01, 0.92, 0.03], [0, 0.9, 0]], atol=1e-12)
    np.testing.assert_allclose(positions[:, 1], [[0.71, 0.92, 0.03], [0, 0.9, -0.7]], atol=1e-12)
    np.testing.assert_allclose(turns[0, 1] @ [1, 0, 0], [0, 1, 0], atol=1e-12)  # Zrotation 90 lifts the arm
    np.testing.assert_allclose(read.animation.time_s, [0, 0.04])


def test_joints_that_slide_are_fixed_at_their_mean_and_the_price_is_told(tmp_path: Path) -> None:
    animation = moving_tree(still=False)
    price = write_bvh(tmp_path / "a.bvh", animation)
    error = np.linalg.norm(read_bvh(tmp_path / "a.bvh").animation.world()[0] - animation.world()[0], axis=-1).max()
    assert 0.005 < price < 0.02
    assert price == pytest.approx(error, abs=1e-5)


def test_euler_angles_do_not_jump_where_the_middle_one_passes_a_right_angle() -> None:
    angles = np.stack([0.3 + 0 * np.arange(200), np.linspace(0, 4 * np.pi, 200), 0.2 + 0 * np.arange(200)], axis=-1)
    rotations = Rotation.from_euler("ZXY", angles).as_matrix()[:, None]
    out = continuous_zxy(rotations)[:, 0]
    np.testing.assert_allclose(Rotation.from_euler("ZXY", out).as_matrix(), rotations[:, 0], atol=1e-9)
    assert np.abs(np.diff(out, axis=0)).max() < 0.1


def test_frames_in_the_world_become_turns_from_rest() -> None:
    """A bone whose own frame is oblique at rest has no turn as long as it stands like that."""
    oblique = Rotation.from_rotvec([0.4, -0.2, 0.9]).as_matrix()
    turn = Rotation.from_rotvec([0, 0, 0.5]).as_matrix()
    animation = from_world(
        np.array([0.0, 1.0]),
        ("a", "b"),
        (-1, 0),
        rest_m=np.array([[0.0, 1, 0], [0, 2, 0]]),
        rest_rotations=np.stack([oblique, np.eye(3)]),
        positions_m=np.stack([[[0, 1, 0], [0, 2, 0]], [[0, 1, 0], turn @ [0, 1, 0] + [0, 1, 0]]]),
        rotations=np.stack([[oblique, np.eye(3)], [turn @ oblique, turn]]),
    )
    np.testing.assert_allclose(animation.rotations[0], np.tile(np.eye(3), (2, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(animation.rotations[1], [turn, np.eye(3)], atol=1e-12)
    assert not animation.moving.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "begins with the line HIERARCHY"),
        (lambda text: text[: text.index("MOTION")], "truncated"),
        (lambda text: text.replace("0.0 90.0 0.0 0 90 0 0 0 0\n", ""), "announces 2 frames, 1 follow"),
        (lambda text: text.replace("1.0 92.0 3.0", "1.0 92.0"), "line 18: 9 numbers are expected, 8"),
        (lambda text: text.replace("92.0", "nan"), "not finite"),
        (lambda text: text.replace("92.0", "up"), "not all of these are numbers"),
        (lambda text: text.replace("Zrotation Xrotation", "Zrotation Wrotation"), "line 8: 3 different channels"),
        (lambda text: text.replace("OFFSET 70.0 0.0", "OFFSET 70.0"), "line 7"),
        (lambda text: text.replace("  }\n}\n", "  }\n"), "not closed"),
        (lambda text: text.replace("  }\n}\n", "  }\n}\n}\n"), "'}' is not expected"),
        (lambda text: text.replace("Frame Time: 0.04", "Frame Time: 0"), "must be positive"),
        (lambda text: text.replace("ROOT", "JOINT", 1), "one ROOT"),
        (lambda text: text.replace("LeftArm", "Hips"), "name of its own"),
        (lambda text: text.replace("JOINT LeftArm", "exec LeftArm"), "'exec' is not expected"),
    ],
)
def test_malformed_files_give_one_clear_error_each(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "bad.bvh"
    path.write_text(change(BY_HAND))
    with pytest.raises(FormatError, match=message):
        read_bvh(path)


def test_a_size_that_fits_no_unit_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "big.bvh"
    path.write_text(BY_HAND.replace("70.0", "700000.0"))
    with pytest.raises(InputError, match="--unit"):
        read_bvh(path)
    assert read_bvh(path, unit="mm").animation.rest_m[1, 0] == pytest.approx(700)
    with pytest.raises(InputError, match="unit must be one of"):
        read_bvh(path, unit="furlong")
    (tmp_path / "binary.bvh").write_bytes(bytes(range(256)))
    with pytest.raises(FormatError, match="not text"):
        read_bvh(tmp_path / "binary.bvh")
