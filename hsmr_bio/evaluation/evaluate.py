"""Comparison of predictions with labels: the rows of the paper's tables.

A file of predictions is a ``.npz`` (or HSMR's own result) with some of these arrays, N rows in the order of the label file:

    poses (N, 46), betas (N, 10)             SKEL, camera axes (HSMR)
    body_pose (N, 69 or 23, 3), global_orient (N, 3), betas (N, 10)     SMPL (HMR2.0, PARE, CLIFF, HybrIK, PLIKS ...),
                                             axis-angle or rotation matrices (N, 23, 3, 3)
    pred_keypoints_3d (N, 44, 3), pred_keypoints_2d (N, 44, 2)          keypoints of the method itself
    patch_cam_t (N, 3)                       patch camera (focal length 5000 px), to project the keypoints
    joints (N, 24, 3), verts (N, 6890, 3)    SMPL's joints and mesh

Source: Xia et al. 2025 (HSMR), Tables 1 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..checks.limits import PAPER_PARTS, PRINTED_TOLERANCES_DEG
from ..errors import FormatError, InputError
from ..hsmr.camera import project
from ..hsmr.crops import normalise
from ..hsmr.keypoints import keypoints_from_smpl_joints
from ..io.unpickle import load_numpy
from ..kinematics.rotations import log
from ..types import FloatArray
from . import metrics
from .labels import Labels, items, shaped
from .violations import Form, violation_table

if TYPE_CHECKING:
    from ..body.smpl_model import SmplModel
    from ..fitting.skelify.hsmr_points import HsmrPoints
    from ..hsmr.network import Hsmr

_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "poses": ("poses", (46,)),
    "betas": ("betas", (10,)),
    "pred_keypoints_3d": ("keypoints_3d", (44, 3)),
    "pred_keypoints_2d": ("keypoints_2d", (44, 2)),
    "patch_cam_t": ("translation", (3,)),
    "joints": ("joints", (24, 3)),
}
"""Key in the file -> field of :class:`Predictions`, and the shape of a row."""
_POINTS_BATCH, _SKIN_BATCH, _SMPL_BATCH = 256, 32, 64
"""Bodies posed at a time (memory)."""
_SCALE_PX = 200
"""Unit of the scale of a label's box (HMR2.0)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Predictions of one method for N people."""

    name: str
    poses: FloatArray | None = None
    """(N, 46) SKEL."""
    body_pose: FloatArray | None = None
    """(N, 23, 3) SMPL, axis-angle."""
    global_orient: FloatArray | None = None
    """(N, 3)."""
    betas: FloatArray | None = None
    keypoints_3d: FloatArray | None = None
    """(N, 44, 3)."""
    keypoints_2d: FloatArray | None = None
    """(N, 44, 2) normalised patch units."""
    translation: FloatArray | None = None
    """(N, 3) of the patch camera."""
    joints: FloatArray | None = None
    """(N, 24, 3) SMPL's."""
    skin: FloatArray | None = None
    """(N, 6890, 3)."""

    def __len__(self) -> int:
        arrays = (self.poses, self.body_pose, self.keypoints_3d, self.keypoints_2d, self.joints)
        return next((len(values) for values in arrays if values is not None), 0)


def read_predictions(path: str | Path) -> Predictions:
    """Read a file of predictions without running code from it.

    Raises:
        InputError: no such file.
        FormatError: no array that can be evaluated, or wrong shapes.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of predictions")
    content = load_numpy(path)
    if not isinstance(content, dict):
        content = _frames_of_video(path, content)
    found: dict[str, FloatArray] = {}
    for key, (field, shape) in _ARRAYS.items():
        if key in content:
            if np.shape(content[key])[1:] != shape:
                wanted = ", ".join(map(str, shape))
                raise FormatError(path, key, f"expected shape (N, {wanted}), got {np.shape(content[key])}")
            found[field] = shaped(path, key, content[key], -1, *shape)
    if "verts" in content:
        found["skin"] = np.asarray(content["verts"], dtype=np.float64)
    body_pose, global_orient = _smpl_arrays(path, content)
    predictions = Predictions(name=path.stem, body_pose=body_pose, global_orient=global_orient, **found)
    if len(predictions) == 0:
        keys = ", ".join(sorted(map(str, content))) or "nothing"
        raise FormatError(path, None, f"no poses, body_pose, keypoints or joints in it (it has {keys})")
    counts = {f.name: len(v) for f in fields(predictions) if isinstance(v := getattr(predictions, f.name), np.ndarray)}
    if len(set(counts.values())) > 1:
        rows = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise FormatError(path, None, f"the arrays must have one row per person, but they have: {rows}")
    return predictions


def _frames_of_video(path: Path, content: npt.NDArray[Any]) -> dict[str, Any]:
    """Join HSMR's result of a video, a list with one dict per frame."""
    rows = np.asarray(content).ravel()
    if content.dtype != object or not all(isinstance(row, dict) for row in rows):
        raise FormatError(path, None, "expected named arrays (.npz) or HSMR's list of frames (.npy)")
    names = ("poses", "betas", "patch_cam_t")
    return {name: np.concatenate([np.asarray(row[name]) for row in rows if len(row.get(name, ()))]) for name in names}


def _smpl_arrays(path: Path, content: dict[str, Any]) -> tuple[FloatArray | None, FloatArray | None]:
    """Read body pose (N, 23, 3) and global orientation (N, 3) of SMPL in any of their forms; None where missing."""
    if "smpl_pose" in content:
        whole = shaped(path, "smpl_pose", content["smpl_pose"], -1, 24, 3)
        return whole[:, 1:], whole[:, 0]
    if "body_pose" not in content:
        return None, None
    raw, orient = np.asarray(content["body_pose"]), content.get("global_orient")
    if raw.ndim == 4 and raw.shape[2:] == (3, 3):  # rotation matrices, as of HMR2.0
        body = log(torch.tensor(shaped(path, "body_pose", raw, len(raw), 23, 3, 3))).numpy()
        if orient is None:
            return body, None
        return body, log(torch.tensor(shaped(path, "global_orient", orient, len(raw), 3, 3))).numpy()
    if raw.ndim < 2 or raw[0].size not in (69, 72):
        raise FormatError(path, "body_pose", f"expected (N, 69), (N, 72) or (N, 23, 3) axis-angle values, got {raw.shape}")
    rows = shaped(path, "body_pose", raw, len(raw), -1, 3)
    if rows.shape[1] == 24:
        return rows[:, 1:], rows[:, 0]
    return rows, None if orient is None else shaped(path, "global_orient", orient, len(raw), 3)


def posed(
    predictions: Predictions,
    *,
    points: HsmrPoints | None = None,
    smpl_joint_regressor: FloatArray | None = None,
    smpl: SmplModel | None = None,
    extra_regressor: FloatArray | None = None,
) -> Predictions:
    """Compute keypoints, joints and skin from parameters, as far as the given bodies allow.

    Args:
        predictions: from :func:`read_predictions`.
        points: HSMR's keypoints on the SKEL body of the predictions.
        smpl_joint_regressor: (24, 6890) SMPL's joints from SKEL's skin (``J_regressor_SMPL_MALE.pkl``), for MOYO.
        smpl: the SMPL model of predictions as SMPL parameters.
        extra_regressor: (19, 6890) the extra keypoints from SMPL's skin (``SMPL_to_J19.pkl``), for their 44 keypoints.

    Returns:
        The predictions with the further arrays.
    """
    with torch.inference_mode():
        if predictions.poses is not None and predictions.betas is not None and points is not None:
            return _posed_skel(predictions, predictions.poses, predictions.betas, points, smpl_joint_regressor)
        if predictions.poses is None and predictions.body_pose is not None and smpl is not None:
            return _posed_smpl(predictions, smpl, extra_regressor)
    return predictions


def _posed_skel(
    predictions: Predictions, poses: FloatArray, betas: FloatArray, points: HsmrPoints, joint_regressor: FloatArray | None
) -> Predictions:
    """Add the keypoints of SKEL poses and, with a regressor, the skin and SMPL's joints."""

    def batches(size: int) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(torch.tensor(poses).split(size), torch.tensor(betas).split(size), strict=True)

    predictions = _with_keypoints(predictions, torch.cat([points(*rows) for rows in batches(_POINTS_BATCH)]))
    if joint_regressor is None:
        return predictions
    skins = (points.body.forward(*rows, skin=True).skin_m for rows in batches(_SKIN_BATCH))
    skin = np.concatenate([part.numpy() for part in skins if part is not None])
    return replace(predictions, skin=skin, joints=np.einsum("kv,nva->nka", joint_regressor, skin))


def _posed_smpl(predictions: Predictions, smpl: SmplModel, extra_regressor: FloatArray | None) -> Predictions:
    """Add the skin and joints of SMPL parameters and, with a regressor, the keypoints."""
    orient, body_pose, betas = predictions.global_orient, predictions.body_pose, predictions.betas
    if orient is None or body_pose is None or betas is None:
        return predictions
    skin, joints = smpl_mesh(smpl, orient, body_pose, betas)
    predictions = replace(predictions, skin=skin, joints=joints)
    if extra_regressor is None:
        return predictions
    extra = torch.tensor(extra_regressor).to_sparse()
    return _with_keypoints(predictions, keypoints_from_smpl_joints(torch.tensor(skin), torch.tensor(joints), extra))


def _with_keypoints(predictions: Predictions, keypoints_m: Tensor) -> Predictions:
    """Add keypoints (N, 44, 3) and, if there is a camera, their projections."""
    if predictions.translation is not None:
        seen = project(keypoints_m, keypoints_m.new_tensor(predictions.translation))
        predictions = replace(predictions, keypoints_2d=seen.numpy())
    return replace(predictions, keypoints_3d=keypoints_m.numpy())


def smpl_mesh(
    smpl: SmplModel, global_orient: npt.ArrayLike, body_pose: npt.ArrayLike, betas: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Compute the vertices and joints of SMPL parameters.

    Args:
        smpl: the model.
        global_orient: (N, 3) or (N, 1, 3) axis-angle.
        body_pose: (N, 23, 3) axis-angle.
        betas: (N, 10).

    Returns:
        (N, V, 3) vertices and (N, 24, 3) joints in metres.
    """
    orient, pose = np.asarray(global_orient).reshape(-1, 1, 3), np.asarray(body_pose).reshape(-1, 23, 3)
    vectors, shapes = np.concatenate([orient, pose], axis=1), np.asarray(betas)
    skin, joints = [], []
    for start in range(0, len(vectors), _SMPL_BATCH):
        part = slice(start, start + _SMPL_BATCH)
        with torch.inference_mode():
            out = smpl.forward(vectors[part], shapes[part], np.zeros((len(vectors[part]), 3)))
        skin.append(out.vertices_m.numpy())
        joints.append(out.joints_m.numpy())
    return np.concatenate(skin), np.concatenate(joints)


def evaluate(
    predictions: Predictions, labels: Labels | None = None, *, smpl: SmplModel | None = None, form: Form = "official"
) -> dict[str, float]:
    """Compute all figures that predictions and labels allow.

    Args:
        predictions: see :func:`posed`.
        labels: None: limit violations only.
        smpl: the neutral SMPL model of MOYO's labels.
        form: of the limit test for SMPL rotations; see :mod:`hsmr_bio.evaluation.violations`.

    Returns:
        MPJPE, PA-MPJPE, MPVPE, PA-MPVPE (mm), PCK (0 to 1), 2D error and violations, as far as they exist.

    Raises:
        InputError: predictions and labels differ in their number of rows, or MOYO's labels without ``smpl``.
    """
    out: dict[str, float] = {}
    if labels is not None:
        if len(labels) != len(predictions):
            raise InputError(
                f"{predictions.name} has {len(predictions)} rows, {labels.path.name} has {len(labels)}: they must be the same "
                "people in the same order"
            )
        out |= _moyo(predictions, labels, smpl) if labels.is_moyo else _standard(predictions, labels)
    if predictions.poses is not None:
        out |= violation_table(predictions.poses, "skel")
    elif predictions.body_pose is not None:
        out |= violation_table(predictions.body_pose, "smpl", form=form)
    return out


def _standard(predictions: Predictions, labels: Labels) -> dict[str, float]:
    """Compute the errors of keypoints against labels with keypoints."""
    out: dict[str, float] = {}
    truth_3d = labels.keypoints_m
    if predictions.keypoints_3d is not None and truth_3d is not None and (truth_3d[..., 3] > 0).any():
        out |= metrics.table(metrics.keypoint_errors_mm(predictions.keypoints_3d, truth_3d))
    truth_2d = labels.keypoints_px
    if predictions.keypoints_2d is not None and truth_2d is not None and (truth_2d[..., 2] > 0).any():
        size = labels.box_size_px
        patch = np.array(truth_2d)
        patch[..., :2] = (truth_2d[..., :2] - labels.centres_px[:, None]) / size[:, None, None]
        out |= metrics.pck(predictions.keypoints_2d, patch, size, labels.sizes_px / _SCALE_PX)
        out["error_2d"] = float(metrics.weighted_2d_error(predictions.keypoints_2d, patch).mean())
    return out


def _moyo(predictions: Predictions, labels: Labels, smpl: SmplModel | None) -> dict[str, float]:
    """Compute the errors of joints and vertices against MOYO's labels."""
    if predictions.joints is None or labels.smpl is None:
        return {}
    if smpl is None:
        raise InputError("MOYO's labels are SMPL parameters: name your neutral SMPL file with --smpl FILE")
    skin, joints = smpl_mesh(smpl, **labels.smpl)
    found = metrics.mesh_errors_mm(predictions.joints, joints, predictions.skin, skin)
    return metrics.table(found)


def predict(network: Hsmr, labels: Labels, image_folder: str | Path, *, batch: int = 8, name: str = "hsmr") -> Predictions:
    """Predict every person of a label file with the network.

    Args:
        network: HSMR.
        labels: with the boxes of the people.
        image_folder: folder from which the image names of the labels start.
        batch: patches per run of the network.
        name: of the method.

    Returns:
        SKEL poses, betas and translation of each person.
    """
    patches = (item.patch for item in items(labels, image_folder))
    parts = []
    while some := list(islice(patches, batch)):
        with torch.inference_mode():
            out = network(normalise(np.stack(some)))
        parts.append((out.poses_rad, out.betas, out.translation_m))
    poses, betas, translation = (torch.cat(values).double().cpu().numpy() for values in zip(*parts, strict=True))
    return Predictions(name=name, poses=poses, betas=betas, translation=translation)


def text_tables(rows: Sequence[tuple[str, dict[str, float]]], form: Form) -> str:
    """Format the paper's tables: accuracy in millimetres, PCK, and the share of violating samples in percent.

    Args:
        rows: name of the method, and its figures from :func:`evaluate`.
        form: of the limit test.

    Returns:
        The text.
    """
    known = set().union(*(figures for _, figures in rows))
    errors: dict[str, tuple[str, float, int]] = {
        key: (f"{key} [mm]", 1.0, 1) for key in ("MPJPE", "PA-MPJPE", "MPVPE", "PA-MPVPE") if key in known
    }
    errors |= {key: (key, 1.0, 3) for key in ("kpAvg_pck_0.05", "kpAvg_pck_0.1", "error_2d") if key in known}
    lines = [*_table(rows, errors, 16), ""] if errors else []
    columns = [(part, tolerance) for part in PAPER_PARTS for tolerance in PRINTED_TOLERANCES_DEG]
    shares = {f"VD{t:g}_{part}_percentage": (f"{part} {t:g}", 100.0, 1) for part, t in columns}
    if shares.keys() & known:
        lines.append(f"joint-limit violations in % of the samples beyond the limit by 10, 20, 30 degrees ({form} form)")
        lines += _table(rows, shares, 12)
    return "\n".join(lines)


def _table(
    rows: Sequence[tuple[str, dict[str, float]]], columns: dict[str, tuple[str, float, int]], width: int
) -> Iterator[str]:
    """Yield the lines of a table; columns: key of a figure -> title, factor and decimals."""
    first = max(len(name) for name, _ in rows) + 2
    yield f"{'method':{first}}" + "".join(f"{title:>{width}}" for title, _, _ in columns.values())
    for name, figures in rows:
        cells = (f"{f * figures[key]:.{d}f}" if key in figures else "-" for key, (_, f, d) in columns.items())
        yield f"{name:{first}}" + "".join(f"{cell:>{width}}" for cell in cells)
