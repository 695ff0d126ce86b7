"""BVH (Biovision hierarchy), skeleton animation as plain text that every animation program reads.

Source:
    J. Meredith, S. Maddock 2001, Motion Capture File Formats Explained, University of Sheffield CS-01-11. The format states
    no unit. Where programs differ (position channels of a joint with an offset), the channels replace the offset, as in
    Blender.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.door import reader
from hsmr_bio.option_checks import check_choice
from hsmr_bio.types import FloatArray

from .animation import Animation
from .bone_names import named
from .c3d import even_rate_hz
from .content import Content, ConvertOptions, Written, as_bones, start_time_lost

_UNITS_M = {"m": 1.0, "inch": 0.0254, "cm": 0.01, "mm": 0.001}
_PERSON_M = (1.2, 2.3)
"""Bounds of the largest extent of a person's rest pose: within them no two of the units can be confused."""
_CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")
_MAX_BYTES = 1 << 30
"""Larger files are refused: the text is read as a whole."""
_MAX_HEADER_LINES = 7
"""Lines after MOTION in which the number of frames and the frame time are looked for; empty lines may stand between them."""
_REPORTED_M = 1e-4
"""Errors of joint positions below 0.1 mm are not reported as a loss."""
Offset = tuple[float, float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class BvhFile:
    """Content of a BVH file."""

    animation: Animation
    unit: str
    """Unit of the file and its source."""


@dataclass
class _Joint:
    name: str
    parent: int
    offset: Offset
    channels: tuple[str, ...]


def write_bvh(path: str | os.PathLike[str], animation: Animation, *, unit_m: float = 0.01) -> float:
    """Write an animation as BVH: the root has six degrees of freedom, all other joints three rotations.

    Rotations are z-x-y Euler angles, continuous in time. A joint that moves inside its parent (spine, scapula, knee) gets its
    mean position there.

    Args:
        path: the file; replaced if it exists.
        animation: evenly sampled.
        unit_m: length of the file's unit; centimetres by default, as in Unity, Mixamo and most recordings.

    Returns:
        The largest distance in metres between a joint in the file and in the animation, caused by the fixed offsets.

    Raises:
        InputError: uneven sampling.
    """
    rate_hz = even_rate_hz(animation.time_s, "a .bvh file")
    fixed = _with_fixed_offsets(animation)
    angles_deg = np.degrees(continuous_zxy(fixed.rotations))
    offsets = fixed.translations_m[0] / unit_m
    lines = ["HIERARCHY", *_hierarchy(fixed, offsets, 0, "")]
    lines += ["MOTION", f"Frames: {len(fixed.time_s)}", f"Frame Time: {1 / rate_hz:.8f}"]
    order = list(_depth_first(fixed.parents, 0))
    rows = np.concatenate([fixed.translations_m[:, 0] / unit_m, angles_deg[:, order].reshape(len(fixed.time_s), -1)], axis=1)
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows]
    with new_file(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return float(np.linalg.norm(fixed.world()[0] - animation.world()[0], axis=-1).max())


@reader
def read_bvh(path: str | os.PathLike[str], *, unit: str | None = None) -> BvhFile:
    """Read a BVH file with any order of channels.

    Args:
        path: the file.
        unit: ``"m"``, ``"cm"``, ``"mm"`` or ``"inch"``; None: recognised by the size of the rest pose, if it is a person's.

    Returns:
        The animation; end sites are left out.

    Raises:
        FormatError: the file breaks the grammar, is truncated, or holds a value that is no number; names the line.
        InputError: the unit is not given and the size fits none, or ``unit`` is not one of the four.
    """
    path = Path(path)
    lines = _lines(path)
    hierarchy, start = _read_hierarchy(path, lines)
    joints = hierarchy.joints
    frames, step_s, first = _read_motion_header(path, lines, start)
    width = sum(len(joint.channels) for joint in joints)
    values = _read_rows(path, lines, first, frames, width)
    offsets = np.array([joint.offset for joint in joints], dtype=np.float64)
    parents = tuple(joint.parent for joint in joints)
    rest = _rest(parents, offsets, hierarchy.ends)
    name, note = _recognise_unit(path, rest, unit)
    scale = _UNITS_M[name]
    rotations, translations = _poses(joints, offsets, values)
    animation = Animation(
        time_s=np.arange(frames, dtype=np.float64) * step_s,
        names=_unique(path, joints),
        parents=parents,
        rest_m=rest[: len(joints)] * scale,
        rotations=rotations,
        translations_m=translations * scale,
    )
    return BvhFile(animation=animation, unit=note)


def from_bvh(path: Path, options: ConvertOptions) -> Content:
    """Read an animation.

    Args:
        path: the file.
        options: ``unit``.

    Returns:
        Bones.
    """
    file = read_bvh(path, unit=options.unit)
    return Content(name=path.stem, bones=file.animation, lost=("end sites",), notes=(f"unit {file.unit}",))


def to_bvh(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write an animation.

    Args:
        path: the file.
        content: see :func:`~hsmr_bio.converters.content.as_bones`.
        options: ``body``, ``bone_names``.

    Returns:
        What the file does not hold.
    """
    animation, lost = as_bones(content, options)
    animation, merged = named(animation, options.bone_names)
    lost = (*lost, *merged)
    error_m = write_bvh(path, animation)
    if error_m > _REPORTED_M:
        lost = (*lost, f"movement of joints inside their parents (spine, scapula, knee): up to {1000 * error_m:.1f} mm")
    return Written(lost=(*lost, *start_time_lost(animation.time_s)), notes=("written in centimetres, y up",))


def continuous_zxy(rotations: FloatArray) -> FloatArray:
    """Compute angles with Rz(a) Rx(b) Ry(c) = R that do not jump in time.

    Of the two solutions and their full turns, each frame takes the one nearest to the frame before.

    Args:
        rotations: (T, J, 3, 3).

    Returns:
        (T, J, 3) rad: a, b, c.

    Source:
        The entries of the product: R12 = -sin a cos b, R22 = cos a cos b, R32 = sin b, R31 = -cos b sin c, R33 = cos b cos c.
    """
    first = np.stack(
        [
            np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1]),
            np.arcsin(np.clip(rotations[..., 2, 1], -1, 1)),
            np.arctan2(-rotations[..., 2, 0], rotations[..., 2, 2]),
        ],
        axis=-1,
    )
    second = first * [1, -1, 1] + np.pi
    out = first.copy()
    for frame in range(1, len(out)):
        before = out[frame - 1]
        choices = np.stack([first[frame], second[frame]])
        choices -= 2 * np.pi * np.round((choices - before) / (2 * np.pi))
        nearest = np.abs(choices - before).sum(axis=-1).argmin(axis=0)
        out[frame] = np.where(nearest[:, None] == 0, choices[0], choices[1])
    return out


def _with_fixed_offsets(animation: Animation) -> Animation:
    translations = animation.translations_m.copy()
    translations[:, 1:] = translations[:, 1:].mean(axis=0)
    return Animation(
        time_s=animation.time_s,
        names=tuple("_".join(name.split()) for name in animation.names),
        parents=animation.parents,
        rest_m=animation.rest_m,
        rotations=animation.rotations,
        translations_m=translations,
    )


def _depth_first(parents: tuple[int, ...], joint: int) -> Iterator[int]:
    yield joint
    for child, parent in enumerate(parents):
        if parent == joint:
            yield from _depth_first(parents, child)


def _hierarchy(animation: Animation, offsets: FloatArray, joint: int, indent: str) -> list[str]:
    root = joint == 0
    x, y, z = (0.0, 0.0, 0.0) if root else offsets[joint]
    positions = "Xposition Yposition Zposition " if root else ""
    lines = [
        f"{indent}{'ROOT' if root else 'JOINT'} {animation.names[joint]}",
        f"{indent}{{",
        f"{indent}  OFFSET {x:.6f} {y:.6f} {z:.6f}",
        f"{indent}  CHANNELS {6 if root else 3} {positions}Zrotation Xrotation Yrotation",
    ]
    children = [child for child, parent in enumerate(animation.parents) if parent == joint]
    for child in children:
        lines += _hierarchy(animation, offsets, child, indent + "  ")
    if not children:  # the format requires an end site, for drawing only: half the offset of the joint itself
        end = f"OFFSET {x / 2:.6f} {y / 2:.6f} {z / 2:.6f}"
        lines += [f"{indent}  {text}" for text in ("End Site", "{", f"  {end}", "}")]
    return [*lines, f"{indent}}}"]


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise FormatError(path, None, "larger than 1 GB: cut the recording first")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(path, None, "no BVH file: it is not text") from None
    except OSError as error:
        raise FormatError(path, None, f"cannot be opened: {error.strerror or error}") from error
    lines = text.splitlines()
    if not lines or lines[0].strip() != "HIERARCHY":
        raise FormatError(path, 1, "a BVH file begins with the line HIERARCHY")
    return lines


class _Hierarchy:
    """Parser of the hierarchy: collects joints and end sites."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.joints: list[_Joint] = []
        self.ends: list[tuple[int, Offset]] = []
        """(parent, offset) of each end site."""
        self._open: list[int] = []  # joint index, or -1 - parent for an end site
        self._announced: int | None = None

    @property
    def complete(self) -> bool:
        """Whether there are joints and every block is closed."""
        return bool(self.joints) and not self._open

    def read(self, number: int, words: list[str]) -> list[str]:
        """Take the first item of a line and return the words that are left."""
        word, rest = words[0], words[1:]
        inside = bool(self._open)
        if word in ("ROOT", "JOINT", "End"):
            return self._announce(number, word, rest)
        if word == "{" and self._announced is not None:
            self._open.append(self._announced)
            self._announced = None
            return rest
        if word == "}" and inside:
            self._open.pop()
            return rest
        if word == "OFFSET" and inside:
            x, y, z = _numbers(self.path, number, rest[:3], 3)
            if self._open[-1] < 0:
                self.ends.append((-1 - self._open[-1], (x, y, z)))
            else:
                self.joints[self._open[-1]].offset = (x, y, z)
            return rest[3:]
        if word == "CHANNELS" and inside and self._open[-1] >= 0:
            count = int(_numbers(self.path, number, rest[:1], 1)[0])
            self.joints[self._open[-1]].channels = _channels(self.path, number, rest[1 : 1 + count], count)
            return rest[1 + count :]
        problem = f"{word!r} is not expected here (ROOT, JOINT, End Site, OFFSET, CHANNELS and balanced braces are)"
        raise FormatError(self.path, number, problem)

    def _announce(self, number: int, word: str, rest: list[str]) -> list[str]:
        inside = bool(self._open) and self._open[-1] >= 0
        if (word == "ROOT") == inside or (word == "ROOT" and self.joints):
            raise FormatError(
                self.path, number, "one ROOT is expected, and every JOINT or End Site inside the block of a joint"
            )
        parent = self._open[-1] if inside else -1
        split = rest.index("{") if "{" in rest else len(rest)
        if word == "End":
            self._announced = -1 - parent
        else:
            self._announced = len(self.joints)
            self.joints.append(_Joint(" ".join(rest[:split]), parent, (0.0, 0.0, 0.0), ()))
        return rest[split:]


def _read_hierarchy(path: Path, lines: list[str]) -> tuple[_Hierarchy, int]:
    """Joints in the file's order, and the index of the line MOTION."""
    hierarchy = _Hierarchy(path)
    for number, line in enumerate(lines[1:], start=2):
        words = line.replace("{", " { ").replace("}", " } ").split()
        if words == ["MOTION"]:
            if not hierarchy.complete:
                raise FormatError(path, number, "the hierarchy is not closed: a } is missing before MOTION")
            return hierarchy, number - 1
        while words:
            words = hierarchy.read(number, words)
    raise FormatError(path, len(lines), "truncated: the line MOTION is missing")


def _channels(path: Path, number: int, words: list[str], count: int) -> tuple[str, ...]:
    known = {name.lower(): name for name in _CHANNELS}
    names = [known.get(word.lower(), "") for word in words]
    if len(names) != count or "" in names or len(set(names)) != count:
        raise FormatError(path, number, f"{count} different channels are expected, each one of {', '.join(_CHANNELS)}")
    return tuple(names)


def _read_motion_header(path: Path, lines: list[str], start: int) -> tuple[int, float, int]:
    frames, step_s = None, None
    for index in range(start + 1, min(start + 1 + _MAX_HEADER_LINES, len(lines))):
        key, _, value = lines[index].partition(":")
        if key.strip() == "Frames":
            frames = int(_numbers(path, index + 1, value.split(), 1)[0])
        elif key.strip() == "Frame Time":
            step_s = _numbers(path, index + 1, value.split(), 1)[0]
        elif lines[index].strip():
            raise FormatError(path, index + 1, "after MOTION the lines 'Frames: N' and 'Frame Time: s' are expected")
        if frames is not None and step_s is not None:
            if frames < 1 or not step_s > 0:
                raise FormatError(path, index + 1, f"frames and frame time must be positive, got {frames} and {step_s:g}")
            return frames, step_s, index + 1
    raise FormatError(path, len(lines), "truncated: 'Frames: N' and 'Frame Time: s' are missing")


def _read_rows(path: Path, lines: list[str], first: int, frames: int, width: int) -> FloatArray:
    rows = [(number, line) for number, line in enumerate(lines[first:], start=first + 1) if line.strip()]
    if len(rows) != frames:
        raise FormatError(path, len(lines), f"truncated: the header announces {frames} frames, {len(rows)} follow")
    values = np.empty((frames, width))
    for index, (number, line) in enumerate(rows):
        values[index] = _numbers(path, number, line.split(), width)
    return values


def _numbers(path: Path, number: int, words: list[str], count: int) -> list[float]:
    if len(words) != count:
        raise FormatError(path, number, f"{count} numbers are expected, {len(words)} are there")
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise FormatError(path, number, f"not all of these are numbers: {' '.join(words)[:60]}") from None
    if not np.isfinite(values).all():
        raise FormatError(path, number, "a value is not finite")
    return values


def _rest(parents: tuple[int, ...], offsets: FloatArray, ends: list[tuple[int, Offset]]) -> FloatArray:
    """(J + ends, 3) rest positions in the file's unit."""
    rest = offsets.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rest[joint] += rest[parent]
    return np.concatenate([rest, np.array([rest[parent] + offset for parent, offset in ends]).reshape(-1, 3)])


def _recognise_unit(path: Path, rest: FloatArray, unit: str | None) -> tuple[str, str]:
    if unit is not None:
        check_choice("unit", unit, tuple(_UNITS_M))
        return unit, f"{unit} (as given)"
    size = float(np.ptp(rest, axis=0).max())
    for name, scale in _UNITS_M.items():
        if _PERSON_M[0] <= size * scale <= _PERSON_M[1]:
            return name, f"{name} (BVH states none; the rest pose is then {size * scale:.2f} m large)"
    raise InputError(
        f"{path}: BVH states no unit, and a rest pose {size:g} units large is no person's in m, cm, mm or inch: "
        f"say which it is (--unit {', '.join(_UNITS_M)})"
    )


def _poses(joints: list[_Joint], offsets: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotations (T, J, 3, 3) and translations (T, J, 3) in the file's unit, of the channels' values (T, C)."""
    rotations = np.tile(np.eye(3), (len(values), len(joints), 1, 1))
    translations = np.repeat(offsets[None], len(values), axis=0)
    ends = np.cumsum([len(joint.channels) for joint in joints])
    for index, (joint, columns) in enumerate(zip(joints, np.split(values, ends[:-1], axis=1), strict=True)):
        turns = [n for n, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        for n in set(range(len(joint.channels))) - set(turns):
            translations[:, index, "XYZ".index(joint.channels[n][0])] = columns[:, n]
        if turns:
            axes = "".join(joint.channels[n][0] for n in turns)
            rotations[:, index] = Rotation.from_euler(axes, columns[:, turns], degrees=True).as_matrix()
    return rotations, translations


def _unique(path: Path, joints: list[_Joint]) -> tuple[str, ...]:
    names = tuple(joint.name for joint in joints)
    if len(set(names)) != len(names) or "" in names:
        raise FormatError(path, None, "every joint needs a name of its own")
    return names
