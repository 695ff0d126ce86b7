"""Read .glb of any program: bones and their animation, without meshes and materials.

Source:
    Khronos Group, glTF 2.0 Specification (2021).
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from hsmr_bio.errors import FormatError
from hsmr_bio.io.door import reader
from hsmr_bio.types import FloatArray

from .animation import Animation, from_world
from .content import Content, ConvertOptions

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_NORMALISED = {"i1": 127.0, "u1": 255.0, "<i2": 32767.0, "<u2": 65535.0}
_PATHS = {"translation": 3, "rotation": 4, "scale": 3}
_MAX_NODES = 10000
"""More nodes are no person's skeleton."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GlbFile:
    """Content of a .glb file."""

    animation: Animation
    """The bones of the first skin, with the first animation."""
    meshes: int
    animations: int


@reader
def read_glb(path: str | os.PathLike[str]) -> GlbFile:
    """Read the skeleton of the first skin and the first animation.

    All key frames of all tracks become frames; between its own keys a track is interpolated as glTF says (positions
    linearly, rotations on the shortest arc; a cubic track by its key values, linearly).

    Raises:
        FormatError: no .glb of version 2, truncated, with references to missing parts, or without a skin or an animation.
    """
    path = Path(path)
    gltf, data = _container(path)
    reader = _Reader(path, gltf, data)
    try:
        return reader.read()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        problem = f"a value in it is missing or has the wrong type ({type(error).__name__}: {error})"
        raise FormatError(path, "JSON", problem) from error


def from_glb(path: Path, options: ConvertOptions) -> Content:
    """Read an animation.

    Args:
        path: the file.
        options: none is used.

    Returns:
        Bones.
    """
    del options
    file = read_glb(path)
    lost = []
    if file.meshes:
        lost.append(f"{file.meshes} meshes with their materials")
    if file.animations > 1:
        lost.append(f"all but the first of {file.animations} animations")
    return Content(name=path.stem, bones=file.animation, lost=tuple(lost))


def _container(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(path, None, f"cannot be opened: {error.strerror or error}") from error
    if len(content) < 20 or content[:4] != b"glTF":
        raise FormatError(path, None, "no .glb file: it must begin with the letters glTF")
    version, length = struct.unpack("<II", content[4:12])
    if version != 2:
        raise FormatError(path, None, f"glTF version {version}; only version 2 is read")
    if length != len(content):
        raise FormatError(path, None, f"truncated: the header announces {length} bytes, the file has {len(content)}")
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack("<I4s", content[at : at + 8])
        if at + 8 + size > length:
            raise FormatError(path, None, "truncated: a chunk is longer than the file")
        chunks.setdefault(kind, content[at + 8 : at + 8 + size])
        at += 8 + size
    try:
        gltf = json.loads(chunks[b"JSON"].decode("utf-8"))
    except (KeyError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise FormatError(path, "JSON", f"the description cannot be read: {error}") from None
    if not isinstance(gltf, dict):
        raise FormatError(path, "JSON", "the description must be an object")
    return gltf, chunks.get(b"BIN\0", b"")


class _Reader:
    def __init__(self, path: Path, gltf: dict[str, Any], data: bytes) -> None:
        self.path, self.gltf, self.data = path, gltf, data
        self.nodes: list[dict[str, Any]] = gltf.get("nodes", [])
        self.parents = self._parents()

    def read(self) -> GlbFile:
        for key, what in (("skins", "skeleton (no skin)"), ("animations", "animation")):
            if not self.gltf.get(key):
                raise FormatError(self.path, None, f"there is no {what} in this file; only moving skeletons are read")
        tracks, times = self._tracks(self.gltf["animations"][0])
        joints = self._parents_first([int(joint) for joint in self.gltf["skins"][0]["joints"]])
        rest = self._world({}, np.zeros(1))
        world = self._world(tracks, times)
        names = self._names(joints)
        animation = from_world(
            times - times[0],
            names,
            tuple(self._bone_above(joint, joints) for joint in joints),
            rest_m=rest[0, joints][:, :3, 3],
            rest_rotations=_turns(rest[0, joints]),
            positions_m=world[:, joints][..., :3, 3],
            rotations=_turns(world[:, joints]),
        )
        return GlbFile(animation=animation, meshes=len(self.gltf.get("meshes", [])), animations=len(self.gltf["animations"]))

    def accessor(self, number: int) -> FloatArray:
        """(count, width) values."""
        accessor = self.gltf["accessors"][number]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise FormatError(
                self.path, f"accessor {number}", "sparse or empty accessors are not read: export without compression"
            )
        view = self.gltf["bufferViews"][accessor["bufferView"]]
        kind = _COMPONENTS[accessor["componentType"]]
        width, count = _WIDTHS[accessor["type"]], int(accessor["count"])
        item = np.dtype(kind).itemsize * width
        stride = int(view.get("byteStride", item))
        start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        if view.get("buffer", 0) != 0 or "uri" in self.gltf["buffers"][0]:
            raise FormatError(self.path, f"accessor {number}", "its data are in another file: export as one .glb")
        if start < 0 or count < 1 or stride < item or start + stride * (count - 1) + item > len(self.data):
            raise FormatError(self.path, f"accessor {number}", "its data reach beyond the end of the file")
        rows = np.ndarray((count, width), kind, self.data, start, (stride, np.dtype(kind).itemsize)).astype(np.float64)
        if accessor.get("normalized") and kind in _NORMALISED:
            rows = np.maximum(rows / _NORMALISED[kind], -1.0)
        if not np.isfinite(rows).all():
            raise FormatError(self.path, f"accessor {number}", "a value is not finite")
        return rows

    def _tracks(self, animation: dict[str, Any]) -> tuple[dict[tuple[int, str], FloatArray], FloatArray]:
        """Values of each animated property at the union of all key times."""
        raw: dict[tuple[int, str], tuple[FloatArray, FloatArray, str]] = {}
        for channel in animation["channels"]:
            target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
            if target.get("path") not in _PATHS or "node" not in target:
                continue
            keys = self.accessor(sampler["input"])[:, 0]
            values = self.accessor(sampler["output"])
            mode = sampler.get("interpolation", "LINEAR")
            if mode == "CUBICSPLINE":
                values = values[1::3]
            if np.any(np.diff(keys) <= 0) or values.shape != (len(keys), _PATHS[target["path"]]):
                raise FormatError(self.path, "animation", "times of a track do not increase, or its values do not fit them")
            raw[int(target["node"]), target["path"]] = keys, values, mode
        if not raw:
            raise FormatError(self.path, "animation", "the first animation moves nothing")
        times = np.unique(np.concatenate([keys for keys, _, _ in raw.values()]))
        return {at: _sample(times, *track, at[1]) for at, track in raw.items()}, times

    def _parents(self) -> list[int]:
        if len(self.nodes) > _MAX_NODES:
            raise FormatError(self.path, "nodes", f"{len(self.nodes)} nodes; at most {_MAX_NODES} are read")
        parents = [-1] * len(self.nodes)
        for node, content in enumerate(self.nodes):
            for child in content.get("children", []):
                if not 0 <= child < len(parents) or parents[child] != -1 or child == node:
                    raise FormatError(self.path, f"node {node}", "nodes must form a tree")
                parents[child] = node
        return parents

    def _order(self) -> list[int]:
        order = [node for node, parent in enumerate(self.parents) if parent == -1]
        for node in order:
            order += self.nodes[node].get("children", [])
        if len(order) != len(self.nodes):
            raise FormatError(self.path, "nodes", "nodes must form a tree, these form a loop")
        return order

    def _parents_first(self, joints: list[int]) -> list[int]:
        """Joints in the skin's order if parents come first in it, else from the root outwards."""
        if all(above < place for place, above in enumerate(self._bone_above(joint, joints) for joint in joints)):
            return joints
        wanted = set(joints)
        return [node for node in self._order() if node in wanted]

    def _bone_above(self, joint: int, joints: list[int]) -> int:
        node = self.parents[joint]
        while node != -1 and node not in joints:
            node = self.parents[node]
        return joints.index(node) if node != -1 else -1

    def _names(self, joints: list[int]) -> tuple[str, ...]:
        names = [str(self.nodes[joint].get("name") or f"node_{joint}") for joint in joints]
        return tuple(name if names.count(name) == 1 else f"{name}_{joint}" for name, joint in zip(names, joints, strict=True))

    def _world(self, tracks: dict[tuple[int, str], FloatArray], times: FloatArray) -> FloatArray:
        """(T, nodes, 4, 4) transforms of all nodes in the world."""
        world = np.zeros((len(times), len(self.nodes), 4, 4))
        for node in self._order():
            local = self._local(node, tracks, len(times))
            parent = self.parents[node]
            world[:, node] = local if parent == -1 else world[:, parent] @ local
        return world

    def _local(self, node: int, tracks: dict[tuple[int, str], FloatArray], frames: int) -> FloatArray:
        """(T, 4, 4) transform of a node in its parent."""
        content = self.nodes[node]
        if "matrix" in content:
            return np.tile(np.array(content["matrix"], dtype=np.float64).reshape(4, 4).T, (frames, 1, 1))
        defaults = {"translation": [0.0, 0, 0], "rotation": [0.0, 0, 0, 1], "scale": [1.0, 1, 1]}
        values = {
            kind: tracks.get((node, kind), np.array([content.get(kind, defaults[kind])], dtype=np.float64)) for kind in _PATHS
        }
        local = np.tile(np.eye(4), (frames, 1, 1))
        local[:, :3, :3] = Rotation.from_quat(values["rotation"]).as_matrix() * values["scale"][:, None, :]
        local[:, :3, 3] = values["translation"]
        return local


def _sample(times: FloatArray, keys: FloatArray, values: FloatArray, mode: str, kind: str) -> FloatArray:
    """(T, width) values of a track; before its first and after its last key it is constant."""
    at = np.clip(times, keys[0], keys[-1])
    if mode == "STEP" or len(keys) == 1:
        return np.asarray(values[np.searchsorted(keys, at, side="right") - 1])
    if kind == "rotation":
        return np.asarray(Slerp(keys, Rotation.from_quat(values))(at).as_quat())
    return np.stack([np.interp(at, keys, column) for column in values.T], axis=1)


def _turns(matrices: FloatArray) -> FloatArray:
    """Rotations of (..., 4, 4) transforms, without their scale."""
    linear = matrices[..., :3, :3]
    u, _, vt = np.linalg.svd(linear)
    flip = np.sign(np.linalg.det(u @ vt))
    u[..., :, 2] *= flip[..., None]
    return np.asarray(u @ vt)
