"""GLB: what we write is read by trimesh and three.js; what three.js writes is read by us."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.body.load import load_body
from hsmr_bio.cli import main
from hsmr_bio.converters.animation import from_osim, from_skel
from hsmr_bio.converters.bvh import write_bvh
from hsmr_bio.converters.glb_file import read_glb
from hsmr_bio.converters.gltf import SkinnedMesh, skinned, write_glb, write_skinned_glb
from hsmr_bio.converters.meshes import write_meshes
from hsmr_bio.errors import FormatError, InputError, ShapeError, UnknownCoordinateError
from hsmr_bio.io.mot import write_mot
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.geometry import vertex_normals
from hsmr_bio.osim.library import bsm
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import OsimMotion, SkelMotion

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "three_skeleton.glb"
BROWSER = HERE / "browser"

# World positions of hips, arm and hand that three.js 0.187 itself shows for this file (tests/browser/check.mjs).
GOLDEN_TIMES_S = (0.0, 0.25, 0.5, 1.0)
GOLDEN_JOINTS = np.array(
    [
        [[0.1, 2, 0.2], [0.856039, 2.753103, 0.054255], [2.010104, 2.739525, -0.330386]],
        [[1.448748, 2.1, 1.025154], [2.367707, 2.641127, 0.874503], [2.376847, 3.547857, 0.063481]],
        [[2.797495, 2.2, 1.850309], [3.789742, 2.515999, 1.575369], [3.544714, 3.382845, 0.757726]],
        [[5.49499, 2.4, 3.500618], [4.623926, 2.731447, 2.960812], [4.789915, 1.821054, 4.030219]],
    ]
)


def walking(frames: int = 25, *, frame: str = "world") -> SkelMotion:
    time_s = np.arange(frames) / 25 + 3.0
    phase = np.sin(2 * np.pi * time_s)
    poses = np.zeros((frames, 46))
    for side, sign in (("r", 1), ("l", -1)):
        poses[:, DOF_NAMES.index(f"hip_flexion_{side}")] = 0.1 + 0.5 * sign * phase
        poses[:, DOF_NAMES.index(f"knee_angle_{side}")] = 0.4 - 0.35 * sign * phase
        poses[:, DOF_NAMES.index(f"shoulder_{side}_x")] = 1.2 * sign
        poses[:, DOF_NAMES.index(f"scapula_elevation_{side}")] = -0.2 * sign
    poses[:, DOF_NAMES.index("lumbar_bending")] = 0.2 * phase
    poses[:, DOF_NAMES.index("pelvis_rotation")] = 4 * time_s
    trans = np.stack([time_s, 0.95 + 0 * time_s, 0 * time_s], axis=-1)
    betas = np.array([0.5, -1.0, *[0.3] * 8])
    return SkelMotion(time_s=time_s, poses_rad=poses, trans_m=trans, betas=betas, body=load_body().name, frame=frame)  # type: ignore[arg-type]


def shown_by_three(path: Path, *times_s: float) -> Any:
    node = shutil.which("node")
    if node is None or not (BROWSER / "node_modules" / "three").exists():
        pytest.skip("needs node and three.js: npm install --prefix tests/browser --no-save three@0.187")
    words = [node, str(BROWSER / "check.mjs"), str(path), *map(str, times_s)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, cwd=BROWSER, timeout=120).stdout)


def test_joints_and_skin_are_the_bodys_own(tmp_path: Path) -> None:
    body, motion = load_body(), walking()
    fit = write_skinned_glb(tmp_path / "a.glb", body, motion)
    assert fit.mean_m < 1e-4 and fit.max_m < 0.01 and fit.frames == 20
    read = read_glb(tmp_path / "a.glb")
    expected = body.forward(np.array(motion.poses_rad), np.array(motion.betas), np.array(motion.trans_m)).joints_m.numpy()
    assert read.animation.names == JOINT_NAMES and read.meshes == 1
    np.testing.assert_allclose(read.animation.world()[0], expected, atol=1e-6)
    np.testing.assert_allclose(read.animation.time_s, np.arange(25) / 25, atol=1e-6)


def test_the_bones_are_exact(tmp_path: Path) -> None:
    fit = write_skinned_glb(tmp_path / "a.glb", load_body(), walking(5), parts=("bones", "skin"))
    assert fit.max_m < 1e-6
    assert read_glb(tmp_path / "a.glb").meshes == 2


def test_a_camera_motion_is_turned_upright(tmp_path: Path) -> None:
    motion = walking(4, frame="camera")
    assert write_skinned_glb(tmp_path / "a.glb", load_body(), motion, parts=("bones",)).max_m < 1e-6
    upright = from_skel(walking(4), load_body()).world()[0] * [1, -1, -1]
    np.testing.assert_allclose(read_glb(tmp_path / "a.glb").animation.world()[0], upright, atol=1e-6)


def test_three_js_shows_the_same_joints_and_skin(tmp_path: Path) -> None:
    body, motion = load_body(), walking()
    write_skinned_glb(tmp_path / "a.glb", body, motion)
    shown = shown_by_three(tmp_path / "a.glb", 0, 0.4, 0.96)
    frames = [0, 10, 24]
    poses, trans = motion.poses_rad[frames], motion.trans_m[frames]
    pose = body.forward(poses, np.array(motion.betas), trans, skin=True)
    joints = np.array([[row[name] for name in JOINT_NAMES] for row in shown["joints"]])
    np.testing.assert_allclose(joints, pose.joints_m.numpy(), atol=2e-6)
    distance = np.linalg.norm(np.array(shown["skin"]) - pose.skin_m.numpy(), axis=-1)
    assert distance.mean() < 1e-4 and distance.max() < 0.01


def test_three_js_shows_the_same_bvh(tmp_path: Path) -> None:
    animation = from_skel(walking(), load_body())
    price = write_bvh(tmp_path / "a.bvh", animation)
    assert 0.001 < price < 0.05  # spine and scapulae move in SKEL, in BVH they do not
    shown = shown_by_three(tmp_path / "a.bvh", 0, 0.4)
    joints = np.array([[row[name] for name in JOINT_NAMES] for row in shown["joints"]]) / 100
    assert np.linalg.norm(joints - animation.world()[0][[0, 10]], axis=-1).max() < price + 1e-5


def test_trimesh_reads_the_same_surface(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    body, motion = load_body(), walking(3)
    write_skinned_glb(tmp_path / "a.glb", body, motion)
    scene = trimesh.load(tmp_path / "a.glb")
    mesh = scene.geometry["skin"]
    np.testing.assert_allclose(mesh.vertices, body.rest(np.array(motion.betas)).skin_m, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, body.faces)
    assert mesh.is_watertight == trimesh.Trimesh(mesh.vertices, body.faces, process=False).is_watertight
    assert set(JOINT_NAMES) <= set(scene.graph.nodes)


def test_a_file_of_three_js_is_read() -> None:
    """A scaled and turned armature, tracks with keys of their own, one of them in steps."""
    read = read_glb(GOLDEN)
    animation = read.animation
    assert animation.names == ("hips", "arm", "hand") and animation.parents == (-1, 0, 1)
    rows = [int(np.argmin(np.abs(animation.time_s - time))) for time in GOLDEN_TIMES_S]
    np.testing.assert_allclose(animation.time_s[rows], GOLDEN_TIMES_S, atol=1e-6)
    np.testing.assert_allclose(animation.world()[0][rows], GOLDEN_JOINTS, atol=2e-6)


def test_both_signs_of_a_quaternion_mean_the_same(tmp_path: Path) -> None:
    content = bytearray(GOLDEN.read_bytes())
    size = struct.unpack("<I", content[12:16])[0]
    gltf = json.loads(content[20 : 20 + size])
    (channel,) = [c for c in gltf["animations"][0]["channels"] if c["target"]["path"] == "rotation"][:1]
    accessor = gltf["accessors"][gltf["animations"][0]["samplers"][channel["sampler"]]["output"]]
    start = 28 + size + gltf["bufferViews"][accessor["bufferView"]]["byteOffset"] + 16  # the second key
    negated = -np.frombuffer(content[start : start + 16], "<f4")
    content[start : start + 16] = negated.astype("<f4").tobytes()
    (tmp_path / "b.glb").write_bytes(content)
    one, other = read_glb(GOLDEN).animation, read_glb(tmp_path / "b.glb").animation
    np.testing.assert_allclose(other.world()[0], one.world()[0], atol=1e-6)


def test_an_opensim_motion_moves_its_bodies(tmp_path: Path) -> None:
    document = bsm()
    time_s = np.arange(10) / 50
    motion = OsimMotion(
        time_s=time_s,
        coordinates=("knee_angle_r", "pelvis_tx"),
        values_si=np.stack([0.1 + time_s * 3, time_s], axis=-1),
        rotational=np.array([True, False]),
    )
    write_glb(tmp_path / "a.glb", from_osim(motion, document))
    read = read_glb(tmp_path / "a.glb").animation
    q = np.repeat(document.default_si[None], 10, axis=0)
    for column, name in enumerate(motion.coordinates):
        q[:, list(document.coordinates).index(name)] = motion.values_si[:, column]
    expected = document.tree().forward(q).positions_m.numpy()
    np.testing.assert_allclose(read.world()[0], expected, atol=1e-6)
    moving = dict(zip(read.names, from_osim(motion, document).moving, strict=True))
    assert moving["tibia_r"] and not moving["tibia_l"]  # the knee rolls
    wrong = OsimMotion(time_s=time_s, coordinates=("knee",), values_si=np.zeros((10, 1)), rotational=np.array([True]))
    with pytest.raises(UnknownCoordinateError):
        from_osim(wrong, document)


def test_quaternions_do_not_change_sign(tmp_path: Path) -> None:
    """Two full turns: a viewer that blends between keys must never go the long way."""
    body, motion = load_body(), walking(60)
    write_glb(tmp_path / "a.glb", from_skel(motion, body))
    content = (tmp_path / "a.glb").read_bytes()
    size = struct.unpack("<I", content[12:16])[0]
    gltf, data = json.loads(content[20 : 20 + size]), content[28 + size :]
    sampler = gltf["animations"][0]["samplers"][gltf["animations"][0]["channels"][0]["sampler"]]
    view = gltf["bufferViews"][gltf["accessors"][sampler["output"]]["bufferView"]]
    quaternions = np.frombuffer(data, "<f4", 240, view["byteOffset"]).reshape(60, 4)
    assert ((quaternions[1:] * quaternions[:-1]).sum(axis=1) > 0.9).all()
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-6)
    expected = from_skel(motion, body).rotations[:, 0]
    np.testing.assert_allclose(Rotation.from_quat(quaternions).as_matrix(), expected, atol=1e-6)


def test_more_than_four_bones_lose_the_smallest_weights() -> None:
    animation = from_skel(walking(2), load_body())
    weights = np.zeros((1, 24))
    weights[0, :5] = [0.3, 0.25, 0.2, 0.15, 0.1]
    mesh = SkinnedMesh(name="m", vertices_m=np.array([[0.0, 1, 0]]), faces=np.zeros((0, 3), dtype=int), weights=weights)
    kept = weights[0, :4] / 0.9
    positions, turns = animation.world()
    expected = sum(w * (turns[1, j] @ (mesh.vertices_m[0] - animation.rest_m[j]) + positions[1, j]) for j, w in enumerate(kept))
    np.testing.assert_allclose(skinned(animation, mesh, [1])[0, 0], expected, atol=1e-12)


def _edited(change: Any) -> bytes:
    content = GOLDEN.read_bytes()
    size = struct.unpack("<I", content[12:16])[0]
    gltf = json.loads(content[20 : 20 + size])
    change(gltf)
    text = json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + size :]
    return struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest)) + struct.pack("<I4s", len(text), b"JSON") + text + rest


def test_a_track_is_constant_before_its_first_key_and_after_its_last(tmp_path: Path) -> None:
    """The turn of the hips without its first key, and without its last one."""

    def cut(first: int) -> Any:
        def change(gltf: dict[str, Any]) -> None:
            for accessor, size in ((5, 4), (6, 16)):
                entry = gltf["accessors"][accessor]
                entry["count"] -= 1
                entry["byteOffset"] = entry.get("byteOffset", 0) + first * size

        return change

    whole = read_glb(GOLDEN).animation
    for first, rows in ((1, slice(0, 3)), (0, slice(2, 4))):  # at 0, 0.25, 0.5 and 1 s; the track has keys at 0, 0.5 and 1 s
        (tmp_path / "cut.glb").write_bytes(_edited(cut(first)))
        held = read_glb(tmp_path / "cut.glb").animation.rotations[rows, 0]
        np.testing.assert_allclose(held, np.tile(whole.rotations[2, 0], (len(held), 1, 1)), atol=1e-6)
        assert np.abs(np.diff(whole.rotations[rows, 0], axis=0)).max() > 0.05


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "no .glb file"),
        (lambda: b'{"asset": {"version": "2.0"}}       ', "no .glb file"),
        (lambda: GOLDEN.read_bytes()[:-100], "truncated"),
        (lambda: GOLDEN.read_bytes()[:4] + struct.pack("<I", 1) + GOLDEN.read_bytes()[8:], "version 1"),
        (lambda: GOLDEN.read_bytes()[:20] + b"\xff" + GOLDEN.read_bytes()[21:], "cannot be read"),
        (lambda: _edited(lambda g: g.pop("skins")), "no skeleton"),
        (lambda: _edited(lambda g: g.pop("animations")), "no animation"),
        (lambda: _edited(lambda g: g.update(nodes=g["nodes"][:1])), "form a tree"),
        (lambda: _edited(lambda g: [v.update(byteOffset=10**9) for v in g["bufferViews"]]), "beyond the end"),
        (lambda: _edited(lambda g: g["accessors"][-1].update(count=10**9)), "beyond the end"),
        (lambda: _edited(lambda g: g["accessors"][-1].update(componentType=1)), "wrong type"),
        (lambda: _edited(lambda g: g["buffers"][0].update(uri="http://example.org/x.bin")), "another file"),
        (lambda: _edited(lambda g: [n.update(children=[0]) for n in g["nodes"]]), "tree"),
    ],
)
def test_malformed_files_give_one_clear_error_each(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "bad.glb").write_bytes(content())
    with pytest.raises(FormatError, match=message):
        read_glb(tmp_path / "bad.glb")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    body, motion = load_body(), walking(2)
    with pytest.raises(InputError, match="parts"):
        write_skinned_glb(tmp_path / "a.glb", body, motion, parts=("muscles",))
    with pytest.raises(InputError, match="mean nothing to another"):
        write_skinned_glb(tmp_path / "a.glb", load_body(sex="male"), motion)
    mesh = SkinnedMesh(name="m", vertices_m=np.zeros((1, 3)), faces=np.zeros((0, 3), dtype=int), weights=np.ones((1, 3)))
    with pytest.raises(InputError, match="3 bones"):
        write_glb(tmp_path / "a.glb", from_skel(motion, body), [mesh])
    with pytest.raises(ShapeError, match="faces"):
        SkinnedMesh(name="m", vertices_m=np.zeros((1, 3)), faces=np.array([[0, 0, 1]]), weights=np.ones((1, 1)))
    assert not list(tmp_path.iterdir())


def test_meshes_of_single_frames_are_the_bodys_surface(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    body, motion = load_body(), walking(5)
    files = write_meshes(tmp_path / "m", body, motion, every=2)
    assert [path.name for path in files] == ["skin_000000.ply", "skin_000002.ply", "skin_000004.ply"]
    pose = body.forward(motion.poses_rad[[4]], np.array(motion.betas), motion.trans_m[[4]], skin=True, skeleton=True)
    mesh = trimesh.load(files[-1], process=False)
    np.testing.assert_allclose(mesh.vertices, pose.skin_m.numpy()[0], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, body.faces)
    bones = write_meshes(tmp_path / "b", body, motion, part="bones", every=4)
    np.testing.assert_allclose(trimesh.load(bones[-1], process=False).vertices, pose.skeleton_m.numpy()[0], atol=1e-6)
    with pytest.raises(InputError, match="exists already"):
        write_meshes(tmp_path / "m", body, motion)
    with pytest.raises(InputError, match="every"):
        write_meshes(tmp_path / "n", body, motion, every=0)


@pytest.mark.slow
def test_a_bsm_motion_animates_the_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """hsmr-bio mot2skel with a .glb: the skin of the person whose model moved."""
    body = load_body()
    betas = np.array([0.5, -1.0, *[0.3] * 8])
    subject = scale_model(body, betas, name="anna")
    document = OsimDocument.from_bytes(subject.osim_xml)
    values = np.repeat(document.default_si[None], 8, axis=0)
    names = list(document.coordinates)
    values[:, names.index("knee_angle_r")] = np.linspace(0.1, 1.0, 8)
    values[:, names.index("pelvis_ty")] = 0.95
    motion = OsimMotion(time_s=np.arange(8) / 30, coordinates=tuple(names), values_si=values, rotational=document.rotational)
    document.write(tmp_path / "anna.osim")
    write_mot(tmp_path / "anna.mot", motion)
    words = ["mot2skel", str(tmp_path / "anna.mot"), "--betas", *map(str, betas), "-o"]
    assert main([*words, str(tmp_path / "anna.glb")]) == 0
    assert "surface differs" in capsys.readouterr().err
    shown = read_glb(tmp_path / "anna.glb").animation
    knees = shown.world()[0][:, [JOINT_NAMES.index("femur_r"), JOINT_NAMES.index("tibia_r"), JOINT_NAMES.index("talus_r")]]
    thigh, shank = knees[:, 0] - knees[:, 1], knees[:, 2] - knees[:, 1]
    cosine = (thigh * shank).sum(-1) / np.linalg.norm(thigh, axis=-1) / np.linalg.norm(shank, axis=-1)
    bend = np.pi - np.arccos(cosine)
    np.testing.assert_allclose(bend[-1] - bend[0], 0.9, atol=0.1)
    assert main([*words, str(tmp_path / "frames")]) == 0
    assert len(list((tmp_path / "frames").glob("skin_*.ply"))) == 8
    assert main([*words, str(tmp_path / "anna.glb")]) == 1


def test_a_surface_that_can_be_seen_through_says_so(tmp_path: Path) -> None:
    triangle = {"vertices_m": np.eye(3), "faces": np.array([[0, 1, 2]]), "weights": np.eye(24)[[0, 0, 0]]}
    skin = SkinnedMesh(name="skin", color=(0.1, 0.2, 0.3, 0.4), **triangle)
    bone = SkinnedMesh(name="bone", color=(0.5, 0.6, 0.7, 1.0), **triangle)
    write_glb(tmp_path / "a.glb", from_skel(walking(3), load_body()), [skin, bone])
    content = (tmp_path / "a.glb").read_bytes()
    materials = json.loads(content[20 : 20 + struct.unpack("<I", content[12:16])[0]])["materials"]
    assert [material.get("alphaMode") for material in materials] == ["BLEND", None]
    assert [material["doubleSided"] for material in materials] == [False, True]
    assert materials[0]["pbrMetallicRoughness"]["baseColorFactor"] == [0.1, 0.2, 0.3, 0.4]


def test_normals_point_out_of_triangles_that_run_to_the_left() -> None:
    """A triangle in the x-y plane and one of twice its area in the x-z plane share the x axis."""
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2]])
    faces = np.array([[0, 1, 2], [0, 3, 1]])
    shared = np.array([0, 2, 1]) / np.sqrt(5)
    np.testing.assert_allclose(vertex_normals(vertices, faces), [shared, shared, [0, 0, 1], [0, 1, 0]])
