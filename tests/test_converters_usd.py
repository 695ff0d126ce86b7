"""USD: what Pixar's own library makes of the file is the body's own motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmr_bio.body import load_body
from hsmr_bio.converters.animation import from_skel
from hsmr_bio.converters.gltf import body_meshes
from hsmr_bio.converters.usd import write_usd
from hsmr_bio.errors import InputError
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import SkelMotion

UsdSkel: Any = pytest.importorskip("pxr.UsdSkel", reason="needs the extra usd")
Usd: Any = pytest.importorskip("pxr.Usd", reason="needs the extra usd")
UsdGeom: Any = pytest.importorskip("pxr.UsdGeom", reason="needs the extra usd")


def swinging() -> SkelMotion:
    time_s = 1.0 + np.array([0.0, 0.1, 0.25, 0.3])  # uneven on purpose
    poses = np.zeros((4, 46))
    for name, size in (("hip_flexion_r", 0.6), ("lumbar_bending", 0.2), ("shoulder_l_x", -1.0), ("pelvis_rotation", 3.0)):
        poses[:, DOF_NAMES.index(name)] = size * np.array([0.0, 0.5, 1.0, 0.8])
    trans = np.array([[0.0, 1, 0], [0.1, 1, 0], [0.2, 1, 0], [0.3, 1.1, 0]])
    return SkelMotion(
        time_s=time_s, poses_rad=poses, trans_m=trans, betas=np.full(10, 0.3), body=load_body().name, frame="world"
    )


@pytest.mark.parametrize("ending", [".usda", ".usdc"])
def test_pixars_library_shows_the_bodys_joints_and_skin(tmp_path: Path, ending: str) -> None:
    body, motion = load_body(), swinging()
    write_usd(tmp_path / f"a{ending}", from_skel(motion, body), body_meshes(body, motion, ("skin", "bones")))
    stage = Usd.Stage.Open(str(tmp_path / f"a{ending}"))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    rate = stage.GetTimeCodesPerSecond()
    root = UsdSkel.Root(stage.GetPrimAtPath("/body"))
    cache = UsdSkel.Cache()
    cache.Populate(root, Usd.PrimDefaultPredicate)
    (binding,) = cache.ComputeSkelBindings(root, Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(binding.GetSkeleton())
    targets = {str(t.GetPrim().GetName()): t for t in binding.GetSkinningTargets()}
    pose = body.forward(motion.poses_rad.copy(), motion.betas.copy(), motion.trans_m.copy(), skin=True, skeleton=True)
    truth = {"skin": pose.skin_m.numpy(), "bones": pose.skeleton_m.numpy()}
    names = [path.rpartition("/")[2] for path in query.GetJointOrder()]
    assert tuple(names) == JOINT_NAMES
    for frame in (0, 2, 3):
        code = Usd.TimeCode((motion.time_s[frame] - motion.time_s[0]) * rate)
        joints = np.array(query.ComputeJointSkelTransforms(code))[:, 3, :3]
        np.testing.assert_allclose(joints, pose.joints_m[frame].numpy(), atol=1e-5)
        moves = query.ComputeSkinningTransforms(code)
        for name, target in targets.items():
            points = UsdGeom.Mesh.Get(stage, f"/body/{name}").GetPointsAttr().Get()
            assert target.ComputeSkinnedPoints(moves, points, code)
            distance = np.linalg.norm(np.array(points) - truth[name][frame], axis=-1)
            assert distance.mean() < 1e-4 and distance.max() < 0.01


def test_bones_alone_become_sticks_and_names_become_identifiers(tmp_path: Path) -> None:
    animation = from_skel(swinging(), load_body())
    write_usd(tmp_path / "a.usda", animation)
    text = (tmp_path / "a.usda").read_text()
    assert '"pelvis/femur_r/tibia_r"' in text and 'def Mesh "bones"' in text
    with pytest.raises(InputError, match="usda"):
        write_usd(tmp_path / "a.fbx", animation)
    assert [path.name for path in tmp_path.iterdir()] == ["a.usda"]
