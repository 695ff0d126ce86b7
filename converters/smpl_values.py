"""SMPL parameters in a mapping of arrays: found under their many names, with shapes and units checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.fitting.smpl.smpl_motion import SMPLX_PELVIS_M
from hsmr_bio.types import FloatArray, Sex

from .rows import Stored
from .smpl_joints import smpl_joints

POSE_KEYS = ("poses", "pose", "pose_world", "smpl_poses", "fullpose", "full_pose", "rotmat", "pred_rotmat")
ROOT_KEYS = ("global_orient_axis_angle", "global_orient", "root_orient", "smpl_global_orient", "poses_root")
BODY_KEYS = ("body_pose_axis_angle", "body_pose", "pose_body", "smpl_body_pose", "poses_body")
TRANS_KEYS = (
    *("trans_world", "trans", "transl", "smpl_trans", "translation"),
    *("pred_cam_t_full", "pred_cam_t", "cam_t", "pred_trans"),
)
_WORLD_PAIR, _CAMERA_PAIR = ("pose_world", "trans_world"), ("pose", "trans")
"""WHAM stores a motion twice, in the world and in the camera; rotations of one do not go with translations of the other."""
CAMERA_KEYS = ("pred_cam_t_full", "pred_cam_t", "cam_t", "pred_cam", "camera_bbox", "pred_trans")
"""Keys that only results in camera axes have."""
JOINT_KEYS = ("smpl_joints", "joints", "joints3d", "joints_3d", "kp3d", "Jtr", "jointPositions")
BETA_KEYS = ("betas", "beta", "shape", "pred_shape")
AXES, NOTES = "hsmr_bio.axes", "hsmr_bio.notes"
"""Keys that readers of layouts add: the axes that the layout states, and notes for people."""
VALUE_KEYS = (*POSE_KEYS, *ROOT_KEYS, *BODY_KEYS, *TRANS_KEYS, *JOINT_KEYS, *BETA_KEYS)
_SEXES: dict[str, Sex] = {"m": "male", "male": "male", "f": "female", "female": "female", "neutral": "neutral", "n": "neutral"}
RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate", "framerate")
_NESTS = ("smpl_params_global", "pred_smpl_params", "smpl_params", "smpl_params_incam", "smpl")
"""Keys under which the parameters lie one level deeper; the first that is there counts."""
_IN_CAMERA = ("smpl_params_incam",)
"""Those of them whose axes are the camera's."""
_MOST_TURN_RAD = 4 * np.pi
"""A larger axis-angle value is in degrees."""
_ORTHONORMAL = 1e-2
"""Largest entry of R R^T - 1 of a rotation matrix; networks give them in half precision."""
_FAR_M = 1000.0
"""A larger translation is not in metres."""
_BODY_JOINTS = 24
_SMPLH_BODY = 22
"""Joints of SMPL, and those of them that SMPL-H and SMPL-X share."""
_WITH_HANDS = (156, 165, _SMPLH_BODY * 3)
"""Widths of the pose vector of SMPL-H, of SMPL-X, and of their body alone."""
_KNOWN_JOINTS = (_SMPLH_BODY, _BODY_JOINTS, 26, 52, 53, 54, 55)
"""Joints of pose vectors that begin with SMPL's body: SMPL-H's and SMPL-X's body, SMPL, SMPL-H with hands as components,
SMPL-H, and SMPL-X with and without jaw and eyes. 48 would be 24 joints of six numbers each, which are no axis-angle values."""
_SMPLX_JOINTS = (53, 54, 55)


@dataclass(frozen=True, eq=False, kw_only=True)
class SmplValues:
    """SMPL parameters of a file, T frames."""

    rotations: FloatArray | None
    """(T, 24, 3, 3)."""
    joints_m: FloatArray | None
    """(T, 24, 3)."""
    trans_m: FloatArray | None
    """(T, 3)."""
    betas: FloatArray | None
    """(10,) or (T, 10)."""
    sex: Sex
    pelvis_m: FloatArray | None = None
    """(3,) as in :class:`~hsmr_bio.fitting.smpl.smpl_motion.SmplMotion`."""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """T."""
        known = self.rotations if self.rotations is not None else self.joints_m
        return 0 if known is None else len(known)


def plain(value: Any) -> Any:
    """Turn tensors and arrays of one object into arrays and their content, in mappings and lists too."""
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype == object:
        return plain(value.item()) if value.ndim == 0 else [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def first_of(content: Stored, names: Iterable[str]) -> tuple[str, Any] | None:
    """Find the first of some keys that a mapping has.

    Args:
        content: the mapping.
        names: the keys.

    Returns:
        The key and its value; None if the mapping has none of them.
    """
    return next(((name, content[name]) for name in names if content.get(name) is not None), None)


def flattened(content: Stored) -> Stored:
    """Move the first of the nested parameters one level up; a mapping without any is returned itself."""
    for name in _NESTS:
        if isinstance(content.get(name), Mapping):
            flat = {**{key: value for key, value in content.items() if key not in _NESTS}, **content[name]}
            return {**flat, AXES: "camera"} if name in _IN_CAMERA else flat
    return content


def numbers(path: Path, where: str, value: object) -> FloatArray:
    """Convert a stored value to finite numbers.

    Args:
        path: of the file, for messages.
        where: place in the file, for messages.
        value: anything.

    Returns:
        An array of any shape.

    Raises:
        FormatError: no numbers, or NaN or infinite values.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FormatError(path, where, f"it holds no numbers ({error})") from None
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        problem = f"{len(wrong)} of {array.size} values are NaN or infinite, the first at {tuple(wrong[0].tolist())}"
        raise FormatError(path, where, problem)
    return array


def frame_rate_hz(path: Path, content: Stored, frames: int, rate_hz: float | None) -> float:
    """Return the frame rate: the given one, else the stored one; 1 Hz for a single frame without any.

    Args:
        path: of the file, for messages.
        content: of the file.
        frames: number of frames.
        rate_hz: the given rate, or None.

    Returns:
        Hz.

    Raises:
        InputError: the rate is neither given nor stored, or not positive.
    """
    stored = first_of(content, RATE_KEYS) if rate_hz is None else None
    if stored is not None:
        rate_hz = float(np.asarray(stored[1]).reshape(-1)[0])
    if rate_hz is None and frames > 1:
        raise InputError(f"{path}: the file does not store its frame rate: give it (--rate-hz)")
    if rate_hz is not None and not (np.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"{path}: the frame rate must be positive, got {rate_hz}")
    return rate_hz or 1.0


def stored_sex(path: Path, content: Stored) -> Sex:
    """Return the stored sex; neutral if there is none.

    Args:
        path: of the file, for messages.
        content: of the file.

    Returns:
        The sex.

    Raises:
        FormatError: another word.
    """
    found = first_of(content, ("gender", "genders", "sex"))
    if found is None:
        return "neutral"
    listed = list(dict.fromkeys(np.asarray(found[1]).reshape(-1).tolist()))
    if len(listed) > 1:
        raise FormatError(path, found[0], f"one person, but several sexes: {', '.join(map(str, listed))[:60]}")
    value = listed[0] if listed else ""
    text = (value.decode("latin1") if isinstance(value, bytes) else str(value)).strip().lower()
    if text not in _SEXES:
        raise FormatError(path, found[0], f"expected female, male or neutral, got {text!r}")
    return _SEXES[text]


def read_values(path: Path, content: Stored | FloatArray) -> SmplValues:
    """Find SMPL's parameters and check them.

    Args:
        path: of the file, for messages.
        content: a mapping, or an array (T, 24, 3) of joints.

    Returns:
        The parameters.

    Raises:
        FormatError: no SMPL parameters, or impossible shapes, units or values.
    """
    if isinstance(content, np.ndarray):
        content = {"joints": content}
    content = _in_one_frame(content)
    rotations, width = _rotations(path, content)
    joints, left_out = _joints(path, content, rotations)
    if rotations is None and joints is None:
        keys = ", ".join(map(str, list(content)[:8]))
        wanted = "poses, or global_orient and body_pose, or joints of shape (T, 24, 3)"
        raise FormatError(path, None, f"no SMPL motion: expected {wanted}; it has {keys or 'nothing'}")
    frames = len(rotations if rotations is not None else joints)  # type: ignore[arg-type]
    if frames == 0:
        raise FormatError(path, None, "there is no frame")
    if joints is not None and len(joints) != frames:
        raise FormatError(path, "joints", f"{len(joints)} frames of joints, {frames} of poses")
    notes = {"smpl_hands": "hand poses are left out: SKEL has no fingers"} if width in _WITH_HANDS else {}
    return SmplValues(
        rotations=rotations,
        joints_m=joints,
        trans_m=_trans(path, content, frames),
        betas=_betas(path, content, frames),
        sex=stored_sex(path, content),
        pelvis_m=SMPLX_PELVIS_M if width // 3 in _SMPLX_JOINTS or _is_gvhmr(content) else None,
        notes={**notes, **left_out, **content.get(NOTES, {})},
    )


def _in_one_frame(content: Stored) -> Stored:
    """Leave out values in camera axes if there are poses in the world, else translations in the world."""
    left_out = _CAMERA_PAIR if content.get(_WORLD_PAIR[0]) is not None else _WORLD_PAIR
    return {key: value for key, value in content.items() if key not in left_out}


def _rotations(path: Path, content: Stored) -> tuple[FloatArray | None, int]:
    """Rotations (T, 24, 3, 3), and the width of the pose vector that they came from."""
    whole = first_of(content, POSE_KEYS)
    if whole is not None:
        matrices = _matrices(path, *whole)
        return _to_24(path, whole[0], matrices), 3 * matrices.shape[1]
    root, body = first_of(content, ROOT_KEYS), first_of(content, BODY_KEYS)
    if root is None or body is None:
        return None, 0
    first, rest = _matrices(path, *root, joints=1), _matrices(path, *body)
    if len(first) != len(rest):
        raise FormatError(path, body[0], f"{len(rest)} frames, but {root[0]} has {len(first)}")
    matrices = np.concatenate([first, rest], axis=1)
    return _to_24(path, body[0], matrices), 3 * matrices.shape[1]


def _matrices(path: Path, key: str, value: object, joints: int | None = None) -> FloatArray:
    """Rotation matrices (T, J, 3, 3) from matrices or axis-angle values of any of the usual shapes."""
    array = numbers(path, key, value)
    if array.ndim >= 3 and array.shape[-2:] == (3, 3):
        rows = _one_person(path, key, array, 2, joints)
        if np.abs(rows @ np.swapaxes(rows, -1, -2) - np.eye(3)).max(initial=0) > _ORTHONORMAL:
            raise FormatError(path, key, "expected rotation matrices, but they are not orthonormal")
        left, _, right = np.linalg.svd(rows)
        return np.asarray(left @ right)
    if array.ndim >= 2 and array.shape[-1] == 3 and (array.ndim > 2 or joints != 1):
        vectors = _one_person(path, key, array, 1, joints)
    elif array.shape and array.shape[-1] % 3 == 0 and array.shape[-1] > 0:
        vectors = _one_person(path, key, array.reshape(*array.shape[:-1], array.shape[-1] // 3, 3), 1, None)
    else:
        raise FormatError(path, key, f"expected axis-angle values (T, 3 J) or matrices (T, J, 3, 3), got shape {array.shape}")
    if joints is not None and vectors.shape[1] != joints:
        raise FormatError(path, key, f"expected {joints} joint, got shape {array.shape}")
    largest = float(np.linalg.norm(vectors, axis=-1).max(initial=0))
    if largest > _MOST_TURN_RAD:
        raise FormatError(path, key, f"an angle of {largest:.4g}: axis-angle values must be in radians")
    return np.asarray(Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3))


def _one_person(path: Path, key: str, array: FloatArray, tail: int, joints: int | None) -> FloatArray:
    """Bring rotations to (T, J, ...), ``tail`` axes a rotation; two leading axes longer than 1 would mix people.

    A root alone (``joints`` 1) may lack the axis of joints.
    """
    if joints == 1 and (array.ndim == tail + 1 or array.shape[-tail - 1] != 1):
        array = np.expand_dims(array, -tail - 1)
    lead = array.shape[: array.ndim - tail - 1]
    if sum(length > 1 for length in lead) > 1:
        what = " x ".join(map(str, lead))
        raise FormatError(path, key, f"{what} poses: people and frames in an unknown order; give one person's file")
    return array.reshape(-1, *array.shape[array.ndim - tail - 1 :])


def _is_gvhmr(content: Stored) -> bool:
    """GVHMR's parameters are SMPL-X's, 21 joints of the body with its translation; AMASS has other names for them."""
    body = content.get("body_pose")
    return body is not None and content.get("transl") is not None and np.shape(body)[-1:] == (63,)


def _to_24(path: Path, key: str, matrices: FloatArray) -> FloatArray:
    """SMPL's 24 joints: the first 22 are the body in SMPL, SMPL-H and SMPL-X; the hands of the latter two are left out."""
    count = matrices.shape[1]
    if count == _BODY_JOINTS:
        return matrices
    if count < _SMPLH_BODY:
        raise FormatError(
            path, key, f"{count} joints; SMPL has 24, SMPL-H 52, SMPL-X 55, and at least the 22 of the body are needed"
        )
    if count not in _KNOWN_JOINTS:
        known = ", ".join(map(str, _KNOWN_JOINTS))
        raise FormatError(path, key, f"{count} joints of axis-angle values; poses of the SMPL family have {known}")
    hands = np.broadcast_to(np.eye(3), (len(matrices), 2, 3, 3))
    return np.concatenate([matrices[:, :_SMPLH_BODY], hands], axis=1)


def _joints(path: Path, content: Stored, rotations: FloatArray | None) -> tuple[FloatArray | None, dict[str, str]]:
    """SMPL's 24 joints, and a note if joints of another order than SMPL's are left out beside rotations."""
    found = first_of(content, JOINT_KEYS)
    if found is None:
        return None, {}
    joints, problem = smpl_joints(numbers(path, *found), rotations)
    if joints is None and rotations is None:
        raise FormatError(path, found[0], f"expected SMPL joints (T, 24, 3), {problem}")
    return joints, {"joints": f"{found[0]} is left out: {problem}"} if joints is None else {}


def _trans(path: Path, content: Stored, frames: int) -> FloatArray | None:
    found = first_of(content, TRANS_KEYS)
    if found is None:
        return None
    array = numbers(path, *found)
    if array.size % 3 == 0:
        array = array.reshape(-1, 3)
    scale = first_of(content, ("smpl_scaling",))
    if scale is not None:
        array = array / float(np.asarray(scale[1]).reshape(-1)[0])
    if array.shape != (frames, 3):
        raise FormatError(path, found[0], f"expected shape ({frames}, 3), got {np.shape(found[1])}")
    if np.abs(array).max(initial=0) > _FAR_M:
        raise FormatError(path, found[0], f"a translation of {np.abs(array).max():.4g}: metres are expected")
    return array


def _betas(path: Path, content: Stored, frames: int) -> FloatArray | None:
    found = first_of(content, BETA_KEYS)
    if found is None:
        return None
    array = numbers(path, *found)
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    if rows.shape[1] < 10:
        raise FormatError(path, found[0], f"at least 10 shape values are needed, there are {rows.shape[1]}")
    if len(rows) not in (1, frames):
        raise FormatError(path, found[0], f"{len(rows)} rows of betas do not fit {frames} frames")
    return np.asarray(rows[0, :10] if len(rows) == 1 else rows[:, :10])
