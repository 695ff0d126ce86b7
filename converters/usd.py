"""USD (.usda, .usdc, .usd): skeleton animation with skin as UsdSkel, through Pixar's library.

Source:
    Pixar, Universal Scene Description, schema UsdSkel: joint paths, bind and rest transforms (row vectors), animation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import InputError, require
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.trc import mean_rate_hz
from hsmr_bio.types import FloatArray

from .animation import Animation
from .content import Content, ConvertOptions, Written
from .gltf import SkinnedMesh, influences, quaternions_of, sticks, to_glb

ENDINGS = (".usda", ".usdc", ".usd")


def write_usd(path: str | os.PathLike[str], animation: Animation, meshes: Sequence[SkinnedMesh] = ()) -> None:
    """Write an animation, with surfaces that follow its bones; metres, y up, the first frame at time code 0.

    Args:
        path: ``.usda`` (text), ``.usdc`` (binary) or ``.usd``; replaced if it exists.
        animation: T frames of J bones; any time stamps.
        meshes: surfaces; if there is none, each bone is drawn as a long octahedron.

    Raises:
        InputError: another ending.
        MissingDependencyError: usd-core is not installed.
    """
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{os.fspath(path)}: USD files end in {', '.join(ENDINGS)}")
    pxr = {
        name: require(f"pxr.{name}", feature="writing USD", extra="usd")
        for name in ("Gf", "Sdf", "Usd", "UsdGeom", "UsdSkel", "Vt")
    }
    with new_file(path) as part:
        named = part.with_name(f"{part.name}{ending}")  # the library chooses text or binary by the ending
        try:
            stage = pxr["Usd"].Stage.CreateNew(str(named))
            _fill(pxr, stage, animation, meshes or (sticks(animation),))
            stage.GetRootLayer().Save()
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)


def to_usd(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write an animation, with the body's surfaces if it is of a SKEL motion.

    Args:
        path: the file.
        content: see :func:`~hsmr_bio.converters.content.as_bones`.
        options: ``body``, ``parts``.

    Returns:
        What the file does not hold.
    """
    return to_glb(path, content, options, write_usd)


def _fill(pxr: dict[str, Any], stage: Any, animation: Animation, meshes: Sequence[SkinnedMesh]) -> None:
    geom, skel = pxr["UsdGeom"], pxr["UsdSkel"]
    rate_hz = mean_rate_hz(animation.time_s)
    codes = (animation.time_s - animation.time_s[0]) * rate_hz
    geom.SetStageUpAxis(stage, geom.Tokens.y)
    geom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(rate_hz)
    stage.SetFramesPerSecond(rate_hz)
    stage.SetStartTimeCode(0.0)
    stage.SetEndTimeCode(float(codes[-1]))
    root = skel.Root.Define(stage, "/body")
    stage.SetDefaultPrim(root.GetPrim())
    skeleton = skel.Skeleton.Define(stage, "/body/skeleton")
    joints = _joint_paths(animation)
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateBindTransformsAttr(_moves(pxr, animation.rest_m))
    skeleton.CreateRestTransformsAttr(_moves(pxr, animation.offsets_m))
    motion = skel.Animation.Define(stage, "/body/motion")
    motion.CreateJointsAttr(joints)
    motion.CreateScalesAttr(pxr["Vt"].Vec3hArray([pxr["Gf"].Vec3h(1, 1, 1)] * len(joints)))
    translations, rotations = motion.CreateTranslationsAttr(), motion.CreateRotationsAttr()
    quaternions = quaternions_of(animation.rotations)
    quatf = pxr["Gf"].Quatf
    for row, code in enumerate(codes):
        translations.Set(pxr["Vt"].Vec3fArray.FromNumpy(animation.translations_m[row].astype(np.float32)), float(code))
        values = [quatf(w, x, y, z) for x, y, z, w in quaternions[row].tolist()]
        rotations.Set(pxr["Vt"].QuatfArray(values), float(code))
    skel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([motion.GetPath()])
    for mesh in meshes:
        _add_mesh(pxr, stage, mesh, skeleton)


def _add_mesh(pxr: dict[str, Any], stage: Any, mesh: SkinnedMesh, skeleton: Any) -> None:
    array = pxr["Vt"]
    bones, weights = influences(mesh.weights)
    surface = pxr["UsdGeom"].Mesh.Define(stage, f"/body/{mesh.name}")
    surface.CreatePointsAttr(array.Vec3fArray.FromNumpy(np.ascontiguousarray(mesh.vertices_m, dtype=np.float32)))
    surface.CreateFaceVertexCountsAttr(array.IntArray.FromNumpy(np.full(len(mesh.faces), 3, dtype=np.int32)))
    surface.CreateFaceVertexIndicesAttr(array.IntArray.FromNumpy(np.asarray(mesh.faces, dtype=np.int32).ravel()))
    surface.CreateSubdivisionSchemeAttr("none")
    surface.CreateDisplayColorAttr([pxr["Gf"].Vec3f(*mesh.color[:3])])
    surface.CreateDisplayOpacityAttr([mesh.color[3]])
    binding = pxr["UsdSkel"].BindingAPI.Apply(surface.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    width = bones.shape[1]
    binding.CreateJointIndicesPrimvar(False, width).Set(array.IntArray.FromNumpy(bones.astype(np.int32).ravel()))
    binding.CreateJointWeightsPrimvar(False, width).Set(array.FloatArray.FromNumpy(weights.astype(np.float32).ravel()))
    binding.CreateGeomBindTransformAttr(pxr["Gf"].Matrix4d(1.0))


def _joint_paths(animation: Animation) -> list[str]:
    """``pelvis``, ``pelvis/femur_r`` ...: in USD the names state the tree of a skeleton."""
    paths: list[str] = []
    for name, parent in zip(animation.names, animation.parents, strict=True):
        plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in name)
        plain = f"_{plain}" if plain[:1].isdecimal() else plain
        paths.append(plain if parent < 0 else f"{paths[parent]}/{plain}")
    return paths


def _moves(pxr: dict[str, Any], offsets_m: FloatArray) -> Any:
    """Pure translations as USD's row-vector matrices."""
    matrices = np.tile(np.eye(4), (len(offsets_m), 1, 1))
    matrices[:, 3, :3] = offsets_m
    return pxr["Vt"].Matrix4dArray.FromNumpy(matrices)
