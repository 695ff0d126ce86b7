"""Predictions of any method against labels: the rows of the paper's tables.

A file of predictions is a ``.npz`` (or HSMR's own result) with some of these arrays, N rows in the label file's order:

    poses (N, 46), betas (N, 10)             SKEL, camera axes (HSMR)
    body_pose (N, 69 or 23, 3), global_orient (N, 3), betas (N, 10)     SMPL (HMR2.0, PARE, CLIFF, HybrIK, PLIKS ...),
                                             axis-angle or rotation matrices (N, 23, 3, 3)
    pred_keypoints_3d (N, 44, 3), pred_keypoints_2d (N, 44, 2)          keypoints, if the method gives them
    patch_cam_t (N, 3)                       patch camera (focal length 5000 px), to project the keypoints
    joints (N, 24, 3), verts (N, 6890, 3)    SMPL's joints and mesh, if posed already

Source: Xia et al. 2025 (HSMR), Tables 1 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import FormatError, InputError
from ..io.unpickle import load_numpy
from ..types import FloatArray
from . import metrics
from .labels import Labels, items, shaped
from .violations import PARTS, TABLE_TOLERANCES_DEG, Form, violation_table

if TYPE_CHECKING:
    from torch import Tensor

    from ..body.smpl_model import SmplModel
    from ..fitting.skelify.hsmr_points import HsmrPoints
    from ..hsmr.network import Hsmr

_SHAPES: dict[str, tuple[int, ...]] = {
    "poses": (46,),
    "betas": (10,),
    "pred_keypoints_3d": (44, 3),
    "pred_keypoints_2d": (44, 2),
    "patch_cam_t": (3,),
    "joints": (24, 3),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """What one method says about N people."""

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

    @property
    def kind(self) -> Literal["skel", "smpl"] | None:
        """Whose angles they are."""
        return "skel" if self.poses is not None else "smpl" if self.body_pose is not None else None


def read_predictions(path: str | Path) -> Predictions:
    """Read a file of predictions; nothing in it is run.

    Raises:
        InputError: no such file.
        FormatError: no array that could be evaluated, or wrong shapes.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of predictions")
    content = load_numpy(path)
    if not isinstance(content, dict):
        content = _frames_of_video(path, content)
    found: dict[str, FloatArray] = {}
    for name, shape in _SHAPES.items():
        if name in content:
            if np.shape(content[name])[1:] != shape:
                wanted = ", ".join(map(str, shape))
                raise FormatError(path, name, f"expected shape (N, {wanted}), got {np.shape(content[name])}")
            found[name] = shaped(path, name, content[name], -1, *shape)
    body_pose, global_orient = _smpl_arrays(path, content)
    skin = None if "verts" not in content else np.asarray(content["verts"], dtype=np.float64)
    predictions = Predictions(
        name=path.stem,
        poses=found.get("poses"),
        body_pose=body_pose,
        global_orient=global_orient,
        betas=found.get("betas"),
        keypoints_3d=found.get("pred_keypoints_3d"),
        keypoints_2d=found.get("pred_keypoints_2d"),
        translation=found.get("patch_cam_t"),
        joints=found.get("joints"),
        skin=skin,
    )
    if len(predictions) == 0:
        keys = ", ".join(sorted(map(str, content))) or "nothing"
        raise FormatError(path, None, f"no poses, body_pose, keypoints or joints in it (it has {keys})")
    counts = {f.name: len(v) for f in fields(predictions) if isinstance(v := getattr(predictions, f.name), np.ndarray)}
    if len(set(counts.values())) > 1:
        rows = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise FormatError(path, None, f"the arrays must have one row per person, but they have: {rows}")
    return predictions


def _frames_of_video(path: Path, content: Any) -> dict[str, Any]:
    """HSMR's result of a video: a list with one dict per frame."""
    rows = np.asarray(content).ravel()
    if content.dtype != object or not all(isinstance(row, dict) for row in rows):
        raise FormatError(path, None, "expected named arrays (.npz) or HSMR's list of frames (.npy)")
    names = ("poses", "betas", "patch_cam_t")
    return {name: np.concatenate([np.asarray(row[name]) for row in rows if len(row.get(name, ()))]) for name in names}


def _smpl_arrays(path: Path, content: dict[str, Any]) -> tuple[FloatArray | None, FloatArray | None]:
    if "smpl_pose" in content:
        whole = shaped(path, "smpl_pose", content["smpl_pose"], -1, 24, 3)
        return whole[:, 1:], whole[:, 0]
    if "body_pose" not in content:
        return None, None
    import torch

    from ..kinematics.rotations import log

    raw, orient = np.asarray(content["body_pose"]), content.get("global_orient")
    if raw.ndim == 4 and raw.shape[2:] == (3, 3):  # HMR2.0 and others give rotation matrices
        body = log(torch.tensor(shaped(path, "body_pose", raw, len(raw), 23, 3, 3))).numpy()
        turns = None if orient is None else torch.tensor(shaped(path, "global_orient", orient, len(raw), 3, 3))
        return body, None if turns is None else log(turns).numpy()
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
    """Fill in keypoints, joints and skin from parameters, as far as the bodies at hand allow.

    Args:
        predictions: what was read.
        points: HSMR's keypoints on the prediction's SKEL body.
        smpl_joint_regressor: (24, 6890) SMPL's joints from SKEL's skin (``J_regressor_SMPL_MALE.pkl``), for MOYO.
        smpl: an SMPL model for predictions as SMPL parameters.
        extra_regressor: (19, 6890) the extra keypoints from SMPL's skin (``SMPL_to_J19.pkl``), for their 44 keypoints.
    """
    import torch

    from ..hsmr.keypoints import keypoints_from_smpl_joints

    with torch.inference_mode():
        if predictions.poses is not None and predictions.betas is not None and points is not None:
            poses, betas = torch.tensor(predictions.poses), torch.tensor(predictions.betas)
            keypoints = torch.cat([points(*rows) for rows in zip(poses.split(256), betas.split(256), strict=True)])
            predictions = _with_keypoints(predictions, keypoints)
            if smpl_joint_regressor is not None:
                skins = (
                    points.body.forward(*rows, skin=True).skin_m for rows in zip(poses.split(32), betas.split(32), strict=True)
                )
                skin = np.concatenate([part.numpy() for part in skins if part is not None])
                joints = np.einsum("kv,nva->nka", smpl_joint_regressor, skin)
                predictions = replace(predictions, skin=skin, joints=joints)
        if predictions.kind == "smpl" and predictions.global_orient is not None and predictions.betas is not None and smpl:
            skin, joints = smpl_mesh(smpl, predictions.global_orient, predictions.body_pose, predictions.betas)
            predictions = replace(predictions, skin=skin, joints=joints)
            if extra_regressor is not None:
                extra = torch.tensor(extra_regressor)
                keypoints = keypoints_from_smpl_joints(torch.tensor(skin), torch.tensor(joints), extra.to_sparse())
                predictions = _with_keypoints(predictions, keypoints)
    return predictions


def _with_keypoints(predictions: Predictions, keypoints_m: Tensor) -> Predictions:
    """Predictions with these keypoints (N, 44, 3), and their projections if there is a camera."""
    from ..hsmr.camera import project

    if predictions.translation is not None:
        seen = project(keypoints_m, keypoints_m.new_tensor(predictions.translation))
        predictions = replace(predictions, keypoints_2d=seen.numpy())
    return replace(predictions, keypoints_3d=keypoints_m.numpy())


def smpl_mesh(smpl: SmplModel, global_orient: Any, body_pose: Any, betas: Any) -> tuple[FloatArray, FloatArray]:
    """(N, V, 3) vertices and (N, 24, 3) joints of SMPL parameters (N, 3), (N, 23, 3), (N, 10)."""
    import torch

    orient, pose = np.asarray(global_orient).reshape(-1, 1, 3), np.asarray(body_pose).reshape(-1, 23, 3)
    vectors = np.concatenate([orient, pose], axis=1)
    skin, joints = [], []
    for start in range(0, len(vectors), 64):
        part = slice(start, start + 64)
        zero = np.zeros((len(vectors[part]), 3))
        with torch.inference_mode():
            out = smpl.forward(vectors[part], np.asarray(betas)[part], zero)
        skin.append(out.vertices_m.numpy())
        joints.append(out.joints_m.numpy())
    return np.concatenate(skin), np.concatenate(joints)


def evaluate(
    predictions: Predictions, labels: Labels | None = None, *, smpl: SmplModel | None = None, form: Form = "official"
) -> dict[str, float]:
    """Every figure that predictions and labels allow.

    Args:
        predictions: see :func:`posed`.
        labels: None: limit violations only.
        smpl: the neutral SMPL model that MOYO's labels are parameters of.
        form: of the limit test for SMPL rotations; see :mod:`hsmr_bio.evaluation.violations`.

    Returns:
        MPJPE, PA-MPJPE, MPVPE, PA-MPVPE (mm), PCK (0 to 1), 2D error, violations; as far as they exist.

    Raises:
        InputError: another number of rows than the labels have.
    """
    out: dict[str, float] = {}
    if labels is not None:
        if len(labels) != len(predictions):
            raise InputError(
                f"{predictions.name} has {len(predictions)} rows, {labels.path.name} has {len(labels)}: they must be the same "
                "people in the same order"
            )
        out |= _moyo(predictions, labels, smpl) if labels.is_moyo else _standard(predictions, labels)
    if predictions.kind is not None:
        poses = predictions.poses if predictions.kind == "skel" else predictions.body_pose
        out |= violation_table(poses, predictions.kind, form=form)  # type: ignore[arg-type]
    return out


def _standard(predictions: Predictions, labels: Labels) -> dict[str, float]:
    out: dict[str, float] = {}
    truth_3d = labels.keypoints_m
    if predictions.keypoints_3d is not None and truth_3d is not None and (truth_3d[..., 3] > 0).any():
        out |= metrics.table(metrics.keypoint_errors_mm(predictions.keypoints_3d, truth_3d))
    truth_2d = labels.keypoints_px
    if predictions.keypoints_2d is not None and truth_2d is not None and (truth_2d[..., 2] > 0).any():
        size = labels.box_size_px
        patch = np.array(truth_2d)
        patch[..., :2] = (truth_2d[..., :2] - labels.centres_px[:, None]) / size[:, None, None]
        out |= metrics.pck(predictions.keypoints_2d, patch, size, labels.sizes_px / 200)
        out["error_2d"] = float(metrics.weighted_2d_error(predictions.keypoints_2d, patch).mean())
    return out


def _moyo(predictions: Predictions, labels: Labels, smpl: SmplModel | None) -> dict[str, float]:
    if predictions.joints is None or labels.smpl is None:
        return {}
    if smpl is None:
        raise InputError("MOYO's labels are SMPL parameters: name your neutral SMPL file with --smpl FILE")
    skin, joints = smpl_mesh(smpl, **labels.smpl)
    found = metrics.mesh_errors_mm(predictions.joints, joints, predictions.skin, skin)
    return metrics.table(found)


def predict(network: Hsmr, labels: Labels, image_folder: str | Path, *, batch: int = 8, name: str = "hsmr") -> Predictions:
    """Run the network on every person of a label file."""
    import torch

    from ..hsmr.crops import normalise

    poses, betas, translations = [], [], []
    waiting: list[Any] = []

    def flush() -> None:
        with torch.inference_mode():
            out = network(normalise(np.stack(waiting)))
        poses.append(out.poses_rad.double().cpu().numpy())
        betas.append(out.betas.double().cpu().numpy())
        translations.append(out.translation_m.double().cpu().numpy())
        waiting.clear()

    for item in items(labels, image_folder):
        waiting.append(item.patch)
        if len(waiting) == batch:
            flush()
    if waiting:
        flush()
    return Predictions(
        name=name, poses=np.concatenate(poses), betas=np.concatenate(betas), translation=np.concatenate(translations)
    )


def text_tables(rows: Sequence[tuple[str, dict[str, float]]], form: Form) -> str:
    """The paper's tables as text: accuracy in millimetres, PCK, and the share of violating samples in percent."""
    accuracy = [key for key in ("MPJPE", "PA-MPJPE", "MPVPE", "PA-MPVPE") if any(key in figures for _, figures in rows)]
    pck = [key for key in ("kpAvg_pck_0.05", "kpAvg_pck_0.1", "error_2d") if any(key in figures for _, figures in rows)]
    width = max(len(name) for name, _ in rows) + 2
    lines: list[str] = []
    if accuracy or pck:
        heads = [*(f"{key} [mm]" for key in accuracy), *pck]
        lines.append(f"{'method':{width}}" + "".join(f"{head:>16}" for head in heads))
        for name, figures in rows:
            cells = [f"{figures[key]:.1f}" if key in figures else "-" for key in accuracy]
            cells += [f"{figures[key]:.3f}" if key in figures else "-" for key in pck]
            lines.append(f"{name:{width}}" + "".join(f"{cell:>16}" for cell in cells))
        lines.append("")
    if any(f"VD10_{PARTS[0]}_percentage" in figures for _, figures in rows):
        lines.append(f"joint-limit violations in % of the samples beyond the limit by 10, 20, 30 degrees ({form} form)")
        heads = [f"{part} {tolerance}" for part in PARTS for tolerance in TABLE_TOLERANCES_DEG]
        lines.append(f"{'method':{width}}" + "".join(f"{head:>12}" for head in heads))
        for name, figures in rows:
            keys = [f"VD{tolerance}_{part}_percentage" for part in PARTS for tolerance in TABLE_TOLERANCES_DEG]
            cells = [f"{100 * figures[key]:.1f}" if key in figures else "-" for key in keys]
            lines.append(f"{name:{width}}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
