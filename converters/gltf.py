"""glTF 2.0 binary (.glb): skeleton animation with skin, for Blender, Unity, browsers.

Source:
    Khronos Group, glTF 2.0 Specification (2021): section 4.4 GLB container, 5 properties, 3.7.3 skins, 3.11 animations.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from hsmr_bio.arrays import freeze
from hsmr_bio.body import Body
from hsmr_bio.body.data_model import IntArray, readonly_ints
from hsmr_bio.errors import InputError, ShapeError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.osim.geometry import vertex_normals
from hsmr_bio.types import FloatArray, SkelMotion

from .animation import CAMERA_TO_Y_UP, Animation, from_skel
from .content import Content, ConvertOptions, Written, as_bones, body_of, start_time_lost

_SKIN_COLOR = (0.80, 0.62, 0.52, 1.0)
_GLASS = (*_SKIN_COLOR[:3], 0.4)
"""Skin with bones inside."""
_BONE_COLOR = (0.93, 0.87, 0.75, 1.0)
"""Colours are (red, green, blue, opacity)."""
_FLOAT, _UINT8, _UINT32 = 5126, 5121, 5125
"""Component types (glTF 2.0, 5.1.3)."""
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
"""Targets of buffer views: vertex attributes, vertex indices (glTF 2.0, 5.11.5)."""
_INFLUENCES = 4
"""Bones that may move a vertex: what every viewer supports (three.js and Unity read no more)."""
_MAX_BONES = 256
"""A vertex names its bones by unsigned bytes."""
_SAMPLED_FRAMES = 20
"""Frames in which the skin is compared with the body's own: enough for a mean, and fast."""
_STICK_WIDTH, _STICK_MIDDLE = 0.08, 0.2
"""Half width of a bone's octahedron, and place of its widest part, relative to its length (chosen for the look)."""
_ALONG_X = 0.9
"""Cosine of the angle to the x axis above which a bone is taken as parallel to it."""
_END_M = (0.0, 0.02, 0.0)
"""Octahedron of a bone without children."""
_SHORTEST_M = 1e-6
"""Shorter bones have no direction and are not drawn."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SkinnedMesh:
    """A surface in the rest pose, with the weights of the bones that move it."""

    name: str
    vertices_m: FloatArray
    """(V, 3) in the rest pose."""
    faces: IntArray
    """(F, 3) vertex numbers."""
    weights: FloatArray
    """(V, J), rows sum to 1; the four largest of a row are kept."""
    color: tuple[float, float, float, float] = _BONE_COLOR

    def __post_init__(self) -> None:
        count = len(self.vertices_m)
        freeze(self, {"vertices_m": (None, 3), "weights": (count, None)})
        readonly_ints("faces", self.faces, (None, 3), high=count)


@dataclass(frozen=True, kw_only=True)
class SkinFit:
    """Distance between the skin in the file and the body's own, in a sample of the frames."""

    mean_m: float
    max_m: float
    frames: int

    @property
    def lost(self) -> str:
        """What the file does not hold of the body, for the report of a conversion."""
        return f"shape parameters; the surface differs by {1000 * self.mean_m:.2f} mm (at most {1000 * self.max_m:.1f} mm)"


WriteBones = Callable[[Path, Animation, Sequence[SkinnedMesh]], None]
"""Writes an animation with surfaces that follow its bones."""


def write_glb(path: str | os.PathLike[str], animation: Animation, meshes: Sequence[SkinnedMesh] = ()) -> None:
    """Write an animation, with surfaces that follow its bones.

    Nodes are named after the bones and are parallel to the world in the rest pose. Rotations are quaternions that do not
    change sign; a joint that moves inside its parent also gets a translation track. The first frame is at 0 s.

    Args:
        path: the file; replaced if it exists.
        animation: T frames of J bones; any time stamps.
        meshes: surfaces; if there is none, each bone is drawn as a long octahedron.

    Raises:
        InputError: a mesh has weights for another number of bones, or there are more than 256 bones.
    """
    joints = len(animation.names)
    if joints > _MAX_BONES:
        raise InputError(f"at most {_MAX_BONES} bones can move a mesh, got {joints}")
    for mesh in meshes:
        if mesh.weights.shape[1] != joints:
            raise InputError(f"mesh {mesh.name!r} has weights for {mesh.weights.shape[1]} bones, the skeleton has {joints}")
    builder = _Builder()
    nodes: list[dict[str, Any]] = [
        {"name": name, "translation": [float(x) for x in offset]}
        for name, offset in zip(animation.names, animation.offsets_m, strict=True)
    ]
    for joint, parent in enumerate(animation.parents):
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(joint)
    inverse = np.tile(np.eye(4, dtype=np.float32), (joints, 1, 1))
    inverse[:, 3, :3] = -animation.rest_m  # column-major in the file
    skin = {"joints": list(range(joints)), "skeleton": 0, "inverseBindMatrices": builder.add(inverse, "MAT4")}
    gltf: dict[str, Any] = {"meshes": [], "materials": []}
    for mesh in meshes or (sticks(animation),):
        nodes.append({"name": mesh.name, "mesh": len(gltf["meshes"]), "skin": 0})
        gltf["meshes"].append(builder.mesh(mesh, len(gltf["materials"])))
        gltf["materials"].append(_material(mesh))
    gltf |= {"asset": {"version": "2.0", "generator": "hsmr_bio"}, "scene": 0}
    gltf |= {"scenes": [{"nodes": [0, *range(joints, len(nodes))]}], "nodes": nodes, "skins": [skin]}
    gltf["animations"] = [builder.animation(animation)]
    with new_file(path) as part:
        part.write_bytes(builder.finish(gltf))


def write_skinned_glb(
    path: str | os.PathLike[str], body: Body, motion: SkelMotion, *, parts: Sequence[str] = ("skin",)
) -> SkinFit:
    """Write a motion with the body's skin, or its bones, or both.

    Viewers blend linearly and have no pose blend shapes; the resulting error is measured and returned.

    Args:
        path: the file; replaced if it exists.
        body: that the motion names.
        motion: one person's motion.
        parts: any of ``"skin"`` and ``"bones"``.

    Returns:
        Distance between the vertices of the first part in a viewer and the body's own, over up to 20 frames.

    Raises:
        InputError: an unknown part, or the motion belongs to another body.
    """
    meshes = body_meshes(body, motion, parts)
    animation = from_skel(motion, body)
    write_glb(path, animation, meshes)
    return skin_fit(body, motion, animation, meshes[0])


def to_glb(path: Path, content: Content, options: ConvertOptions, write: WriteBones = write_glb) -> Written:
    """Write an animation, with the body's surfaces if it is of a SKEL motion.

    Args:
        path: the file.
        content: see :func:`~hsmr_bio.converters.content.as_bones`.
        options: ``body``, ``parts``.
        write: writer of the format.

    Returns:
        What the file does not hold.
    """
    animation, lost = as_bones(content, options)
    meshes: Sequence[SkinnedMesh] = ()
    if content.skel is not None:
        body = body_of(content, options)
        meshes = body_meshes(body, content.skel, options.parts)
        lost = (skin_fit(body, content.skel, animation, meshes[0]).lost,)
    write(path, animation, meshes)
    return Written(lost=(*lost, *start_time_lost(animation.time_s)))


def body_meshes(body: Body, motion: SkelMotion, parts: Sequence[str]) -> list[SkinnedMesh]:
    """Return the body's surfaces in the rest pose.

    Args:
        body: that the motion names.
        motion: with the betas.
        parts: any of ``"skin"`` and ``"bones"``; with both, the skin is transparent.

    Returns:
        One mesh a part, in the order of ``parts``.

    Raises:
        InputError: an unknown part, or none.
    """
    wrong = [part for part in parts if part not in ("skin", "bones")]
    if wrong or not parts:
        raise InputError(f"parts must be 'skin', 'bones' or both, got {', '.join(map(repr, wrong)) or 'none'}")
    meshes = []
    for part in parts:
        if part == "skin":
            vertices, faces, weights = body.rest(motion.betas).skin_m, body.faces, body.data.skin_weights
            color = _GLASS if "bones" in parts else _SKIN_COLOR
        else:
            vertices = surface(body, np.zeros((1, 46)), motion.betas, np.zeros((1, 3)), part)[0]  # zero angles: rest pose
            faces, weights, color = body.bone_faces, body.data.bone_weights, _BONE_COLOR
        meshes.append(SkinnedMesh(name=part, vertices_m=vertices, faces=faces, weights=weights.toarray(), color=color))
    return meshes


def skin_fit(body: Body, motion: SkelMotion, animation: Animation, mesh: SkinnedMesh) -> SkinFit:
    """Compare a mesh as a viewer shows it with the body's own surface, in up to 20 frames.

    Args:
        body: that the motion names.
        motion: T frames.
        animation: of the motion.
        mesh: one of :func:`body_meshes`.

    Returns:
        Mean and largest distance.
    """
    picked = np.unique(np.linspace(0, len(motion.time_s) - 1, _SAMPLED_FRAMES).round().astype(int))
    true = surface(body, motion.poses_rad[picked], motion.betas, motion.trans_m[picked], mesh.name)
    if motion.frame == "camera":
        true = true @ CAMERA_TO_Y_UP
    distance = np.linalg.norm(skinned(animation, mesh, picked) - true, axis=-1)
    return SkinFit(mean_m=float(distance.mean()), max_m=float(distance.max()), frames=len(picked))


def surface(body: Body, poses_rad: FloatArray, betas: FloatArray, trans_m: FloatArray, part: str) -> FloatArray:
    """Pose one surface of the body.

    Args:
        body: the body.
        poses_rad: (T, 46).
        betas: (10,).
        trans_m: (T, 3).
        part: ``"skin"`` or ``"bones"``.

    Returns:
        (T, V, 3) m, in the axes of the translations.
    """
    skin = part == "skin"
    pose = body.forward(poses_rad, betas, trans_m, skin=skin, skeleton=not skin)
    vertices = pose.skin_m if skin else pose.skeleton_m
    return np.asarray(vertices)


def skinned(animation: Animation, mesh: SkinnedMesh, frames: IntArray) -> FloatArray:
    """Compute vertices from the file as a viewer does: linear blending of four bones.

    Args:
        animation: the bones.
        mesh: the surface.
        frames: (F,) frame numbers.

    Returns:
        (F, V, 3) m.
    """
    positions, turns = animation.world()
    joints, weights = influences(mesh.weights)
    moved = positions - np.einsum("tjab,jb->tja", turns, animation.rest_m)
    out = np.empty((len(frames), len(mesh.vertices_m), 3))
    for row, frame in enumerate(frames):
        turned = np.einsum("vkab,vb->vka", turns[frame][joints], mesh.vertices_m)
        out[row] = np.einsum("vk,vka->va", weights, turned + moved[frame][joints])
    return out


class _Builder:
    """Builder of the file: collects arrays into one binary buffer."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, array: npt.NDArray[Any], kind: str, *, target: int | None = None, limits: bool = False) -> int:
        """Append an array, aligned to 4 bytes; return the number of its accessor."""
        array = np.ascontiguousarray(array)
        component = {"f": _FLOAT, "B": _UINT8, "I": _UINT32}[array.dtype.char]
        self._bytes += b"\0" * (-len(self._bytes) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._bytes), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        self._bytes += array.tobytes()
        count = array.size if kind == "SCALAR" else len(array)
        accessor: dict[str, Any] = {"bufferView": len(self._views), "componentType": component, "count": count, "type": kind}
        if limits:
            columns = array.reshape(count, -1)
            accessor |= {"min": columns.min(axis=0).tolist(), "max": columns.max(axis=0).tolist()}
        self._views.append(view)
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def mesh(self, mesh: SkinnedMesh, material: int) -> dict[str, Any]:
        """Append a mesh; return its description."""
        joints, weights = influences(mesh.weights)
        normals = vertex_normals(mesh.vertices_m, mesh.faces).astype(np.float32)
        attributes = {
            "POSITION": self.add(mesh.vertices_m.astype(np.float32), "VEC3", target=_ARRAY_BUFFER, limits=True),
            "NORMAL": self.add(normals, "VEC3", target=_ARRAY_BUFFER),
            "JOINTS_0": self.add(joints.astype(np.uint8), "VEC4", target=_ARRAY_BUFFER),
            "WEIGHTS_0": self.add(weights.astype(np.float32), "VEC4", target=_ARRAY_BUFFER),
        }
        indices = self.add(mesh.faces.astype(np.uint32).ravel(), "SCALAR", target=_ELEMENT_BUFFER)
        return {"name": mesh.name, "primitives": [{"attributes": attributes, "indices": indices, "material": material}]}

    def animation(self, animation: Animation) -> dict[str, Any]:
        """Append the tracks; return their description."""
        time = self.add((animation.time_s - animation.time_s[0]).astype(np.float32), "SCALAR", limits=True)
        quaternions = quaternions_of(animation.rotations).astype(np.float32)
        tracks = [(joint, "rotation", self.add(quaternions[:, joint], "VEC4")) for joint in range(len(animation.names))]
        for joint in np.flatnonzero(animation.moving):
            places = animation.translations_m[:, joint].astype(np.float32)
            tracks.append((int(joint), "translation", self.add(places, "VEC3")))
        return {
            "name": "motion",
            "samplers": [{"input": time, "output": output, "interpolation": "LINEAR"} for _, _, output in tracks],
            "channels": [
                {"sampler": number, "target": {"node": joint, "path": kind}} for number, (joint, kind, _) in enumerate(tracks)
            ],
        }

    def finish(self, gltf: dict[str, Any]) -> bytes:
        """Return the bytes of the file."""
        gltf = gltf | {"buffers": [{"byteLength": len(self._bytes)}]}
        gltf |= {"bufferViews": self._views, "accessors": self._accessors}
        text = json.dumps(gltf, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        data = bytes(self._bytes) + b"\0" * (-len(self._bytes) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _material(mesh: SkinnedMesh) -> dict[str, Any]:
    surface = {"baseColorFactor": list(mesh.color), "metallicFactor": 0.0, "roughnessFactor": 0.8}
    material = {"name": mesh.name, "pbrMetallicRoughness": surface, "doubleSided": mesh.color[3] == 1}
    return material | ({} if mesh.color[3] == 1 else {"alphaMode": "BLEND"})


def influences(weights: FloatArray) -> tuple[IntArray, FloatArray]:
    """Keep the four largest weights of each vertex: bones (V, 4) and weights (V, 4) with sum 1; a zero names bone 0.

    Raises:
        ShapeError: a vertex without a positive weight.
    """
    table = np.pad(weights, ((0, 0), (0, max(_INFLUENCES - weights.shape[1], 0))))
    joints = np.argsort(-table, axis=1, kind="stable")[:, :_INFLUENCES]
    kept = np.take_along_axis(table, joints, axis=1)
    total = kept.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        raise ShapeError(f"{int((total <= 0).sum())} vertices follow no bone: weights must have a positive sum")
    return np.where(kept > 0, joints, 0), kept / total


def quaternions_of(rotations: FloatArray) -> FloatArray:
    """(T, J, 4) x, y, z, w of (T, J, 3, 3); the sign is that of the frame before, so that viewers blend the shorter arc."""
    frames, joints = rotations.shape[:2]
    out = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat().reshape(frames, joints, 4)
    flips = np.where((out[1:] * out[:-1]).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
    out[1:] *= np.cumprod(flips, axis=0)
    return np.asarray(out)


def sticks(animation: Animation) -> SkinnedMesh:
    """Draw each bone as a long octahedron from its joint to each of its children, a short one if it has none."""
    offsets = animation.offsets_m
    vertices: list[FloatArray] = []
    faces: list[list[int]] = []
    owners: list[int] = []
    parts = [
        (parent, animation.rest_m[parent], offsets[joint]) for joint, parent in enumerate(animation.parents) if parent >= 0
    ]
    for joint in set(range(len(animation.names))) - set(animation.parents):
        parts.append((joint, animation.rest_m[joint], np.array(_END_M)))
    for joint, start, along in parts:
        length = float(np.linalg.norm(along))
        if length < _SHORTEST_M:
            continue
        side = np.cross(along, [1.0, 0.0, 0.0] if abs(along[0]) < _ALONG_X * length else [0.0, 1.0, 0.0])
        side *= _STICK_WIDTH * length / np.linalg.norm(side)
        across = np.cross(along, side) / length
        middle = start + _STICK_MIDDLE * along
        base = len(vertices)
        vertices += [start, middle + side, middle + across, middle - side, middle - across, start + along]
        for ring in range(4):
            corner, following = base + 1 + ring, base + 1 + (ring + 1) % 4
            faces += [[base, following, corner], [base + 5, corner, following]]
        owners += [joint] * 6
    weights = np.zeros((len(owners), len(animation.names)))
    weights[np.arange(len(owners)), owners] = 1.0
    return SkinnedMesh(name="bones", vertices_m=np.array(vertices), faces=np.array(faces), weights=weights)
