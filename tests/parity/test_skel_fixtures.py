"""SKEL's forward pass against the official code's outputs on synthetic models (../shared/fixtures/skel)."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from hsmr_bio.body import Body
from hsmr_bio.body.body import volume_m3
from hsmr_bio.body.skel_file import load_skel_file
from hsmr_bio.body.smpl_model import load_smpl
from hsmr_bio.kinematics.rotations import skew

MODELS = ("skel_male", "skel_female", "skel_variant")
CASES = ("rest", "shared", "perframe", "offset", "edge", "single")


@pytest.fixture(scope="module")
def bodies(synthetic_skel):
    return {name: Body(load_skel_file(path)) for name, path in synthetic_skel.items()}


@pytest.fixture(scope="module")
def stored(shared):
    return {name: np.load(shared / "fixtures" / "skel" / f"{name}.npz") for name in MODELS}


def run(body, data, case, dtype, **options):
    def get(name, default):
        key = f"{case}/{name}"
        return torch.as_tensor(data[key] if key in data.files else default, dtype=dtype)

    poses = get("poses", 0)
    offset = get("dJ", 0) if f"{case}/dJ" in data.files else None
    meshes = case != "single"
    out = body.forward(
        poses,
        get("betas", np.zeros((1, 10))),
        get("trans", np.zeros((len(poses), 3))),
        skin=meshes,
        skeleton=meshes,
        joint_offset_m=offset,
        **options,
    )
    found = {"joints": out.joints_m, "joints_ori": out.joints_ori}
    if meshes:
        found["skin_verts"] = out.skin_m[:, data["skin_index"]]
        found["skel_verts"] = out.skeleton_m[:, data["skel_index"]]
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", MODELS)
def test_forward_pass_in_float64(bodies, stored, model, case) -> None:
    data = stored[model]
    for name, value in run(bodies[model], data, case, torch.float64).items():
        np.testing.assert_allclose(value.numpy(), data[f"{case}/{name}"], atol=1e-9, rtol=0, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
def test_forward_pass_in_float32(bodies, stored, model) -> None:
    data = stored[model]
    for case in CASES:
        for name, value in run(bodies[model], data, case, torch.float32).items():
            tolerance = 1e-5 if name == "joints_ori" else 5e-6
            assert value.dtype == torch.float32
            np.testing.assert_allclose(value.numpy(), data[f"{case}/{name}"], atol=tolerance, rtol=0, err_msg=f"{case} {name}")


@pytest.mark.parametrize("model", MODELS)
def test_pose_blend_shapes_can_be_switched_off(bodies, stored, model) -> None:
    data = stored[model]
    skin = run(bodies[model], data, "shared", torch.float64, pose_blend=False)["skin_verts"]
    np.testing.assert_allclose(skin.numpy(), data["shared/skin_verts_without_pose_blend"], atol=1e-9, rtol=0)


@pytest.mark.parametrize("model", MODELS)
def test_rest_pose_intermediates(bodies, stored, model) -> None:
    data, body = stored[model], bodies[model]
    rest = body.rest(data["rest/betas"][0])
    np.testing.assert_allclose(rest.joints_m, data["rest/joints_tpose"][0], atol=1e-9)
    np.testing.assert_allclose(rest.bone_rotations, data["rest/Rk01"][0], atol=1e-9)
    for betas, scale in zip(data["perframe/betas"], data["perframe/bone_scale"], strict=True):
        np.testing.assert_allclose(body.rest(betas).bone_scale, scale, atol=1e-9)


@pytest.mark.parametrize("case", ["rest", "perframe"])
@pytest.mark.parametrize("model", ["skel_male", "skel_female"])
def test_gradients_are_the_true_ones(bodies, stored, model, case) -> None:
    data, body = stored[model], bodies[model]
    inputs = [torch.tensor(data[f"{case}/{name}"], requires_grad=True) for name in ("poses", "betas", "trans")]
    out = body.forward(*inputs, skin=True, skeleton=True)
    found = {
        "joints": out.joints_m,
        "joints_ori": out.joints_ori,
        "skin_verts": out.skin_m[:, data["skin_index"]],
        "skel_verts": out.skeleton_m[:, data["skel_index"]],
    }
    loss = sum((torch.as_tensor(data[f"{case}_grad/w_{name}"]) * value).sum() for name, value in found.items())
    loss.backward()
    for name, value in zip(("poses", "betas", "trans"), inputs, strict=True):
        true = data[f"{case}_grad/d_{name}"]
        np.testing.assert_allclose(value.grad.numpy(), true, atol=1e-8 * np.abs(true).max(), rtol=0, err_msg=name)


@pytest.mark.parametrize("case", ["shared", "perframe", "edge", "single"])
@pytest.mark.parametrize("model", MODELS)
def test_the_tree_is_the_forward_pass(bodies, stored, model, case) -> None:
    data, body = stored[model], bodies[model]
    poses = data[f"{case}/poses"]
    trans = data[f"{case}/trans"] if f"{case}/trans" in data.files else np.zeros((len(poses), 3))
    betas = data[f"{case}/betas"] if f"{case}/betas" in data.files else np.zeros((1, 10))
    pose = body.tree(betas).forward(np.concatenate([poses, trans], axis=1))
    np.testing.assert_allclose(pose.positions_m.numpy(), data[f"{case}/joints"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(pose.rotations.numpy(), data[f"{case}/joints_ori"], atol=1e-9, rtol=0)


def test_the_tree_has_the_constants_of_the_reference(bodies, shared) -> None:
    data, body = np.load(shared / "fixtures" / "skel" / "opensim_constants.npz"), bodies["skel_female"]
    tree = body.tree(data["betas"].ravel())
    for j, joint in enumerate(tree.joints):
        np.testing.assert_allclose(joint.parent_rotation, data["parent_offset_rotation"][j], atol=1e-6, err_msg=joint.name)
        np.testing.assert_allclose(joint.child_rotation, data["child_offset_rotation"][j], atol=1e-6, err_msg=joint.name)
        if j:
            offset = data["parent_offset_translation"][j]
            np.testing.assert_allclose(joint.parent_translation_m, offset, atol=1e-6, err_msg=joint.name)
        for axis, (vector, _) in enumerate(joint.translations):
            np.testing.assert_allclose(vector, data["translation_axes"][j][:, axis], atol=1e-6, err_msg=joint.name)


def test_smpl_forward_pass(synthetic_male, shared, tmp_path) -> None:
    """The other program rounds the file's arrays to float32 and adds 1e-8 to each rotation vector; so does this test."""
    with (synthetic_male / "smpl" / "SMPL_MALE.pkl").open("rb") as stream:
        content = pickle.load(stream)
    rounded = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    content |= {key: content[key].astype(np.float32) for key in rounded}
    (tmp_path / "SMPL_MALE.pkl").write_bytes(pickle.dumps(content))
    model, exact = (load_smpl(folder / "SMPL_MALE.pkl") for folder in (tmp_path, synthetic_male / "smpl"))
    data = np.load(shared / "fixtures" / "skel" / "smpl_male.npz")
    vectors = torch.tensor(np.concatenate([data["global_orient"][:, None], data["body_pose"].reshape(-1, 23, 3)], axis=1))
    angle = (vectors + 1e-8).norm(dim=-1)
    axis = vectors / angle[..., None]
    sine, cosine = torch.sin(angle)[..., None, None], torch.cos(angle)[..., None, None]
    turns = torch.eye(3) + sine * skew(axis) + (1 - cosine) * skew(axis) @ skew(axis)
    out = model.forward(turns, data["betas"], data["transl"])
    np.testing.assert_allclose(out.vertices_m[:, data["skin_index"]].numpy(), data["vertices"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(out.joints_m.numpy(), data["joints"], atol=1e-9, rtol=0)
    unrounded = exact.forward(vectors, data["betas"], data["transl"])
    np.testing.assert_allclose(unrounded.vertices_m.numpy(), out.vertices_m.numpy(), atol=3e-7, rtol=0)
    rest = exact.forward(np.zeros((4, 24, 3)), data["betas"], np.zeros((4, 3))).vertices_m.numpy()
    np.testing.assert_allclose([volume_m3(v, exact.faces) for v in rest], data["volume_m3"], rtol=1e-7)
