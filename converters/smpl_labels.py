"""SMPL labels to SKEL pseudo labels, a folder at a time: resumable, with a quality per item and reasons for rejection.

Every ``.npz`` of the input holds N independent people. Its result has the same name and HSMR's names of the values:
``orig_poses`` and ``orig_betas``, and ``flip_*`` for the mirrored person, fitted separately, because SKEL is not exactly
symmetric.

Source:
    Typical faults of such fits (twisted forearms, knees bent the wrong way, scapulae at their bounds): Xia et al. 2025 (HSMR),
    Fig. 3. HSMR keeps labels whose largest vertex error is below 0.06 m.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.body.smpl_model import SmplModel
from hsmr_bio.errors import InputError
from hsmr_bio.fitting.smpl.skin_problem import SmplFitOptions, SmplFitter
from hsmr_bio.fitting.smpl.to_skel import limit_excess
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.unpickle import load_numpy
from hsmr_bio.skeleton import DOF_NAMES, LIMITS_WITH_REST_RAD, fit_bounds
from hsmr_bio.types import FloatArray, Progress, quiet

from .smpl_values import SmplValues, flattened, plain, read_values

LARGEST_VERTEX_ERROR_M = 0.06
"""Limit of HSMR's own filter."""
FOREARM_TWIST_RAD = np.radians(120)
"""Rotation of SMPL's hand relative to the upper arm about the forearm beyond which the skin is twisted (chosen: pronation and
supination together span about 160 degrees, 80 to each side)."""
KNEE_WRONG_RAD = np.radians(20)
"""Flexion of SMPL's knee to the front, or to a side, beyond which the label is rejected (chosen)."""
AT_BOUND_RAD = np.radians(1)
"""A scapula angle this close to its bound is held by it (chosen)."""
_SHOWN_EXCESS_RAD = np.radians(1)
"""Excess from which an angle counts as beyond its limit in ``labels.json`` (chosen)."""
_FRAMES_AT_ONCE = 32
"""Skins that are posed together: it bounds the memory."""
BEYOND_LIMIT_RAD = np.radians(10)
"""Any angle this far beyond its limit (chosen: the strictest column of HSMR's table of violations at 10, 20, 30 degrees)."""
_MIRROR = np.arange(24)
for _left, _right in ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23)):
    _MIRROR[[_left, _right]] = _right, _left
_ELBOWS_WRISTS, _KNEES = ((18, 20), (19, 21)), (4, 5)
"""SMPL's joints, left and right."""


@dataclass(frozen=True)
class LabelSummary:
    """Counts of a folder's results."""

    files: int
    skipped: int
    """Files whose results existed already."""
    items: int
    accepted: int
    reasons: Mapping[str, int]
    """Reason -> number of items rejected for it; an item may have several."""


def convert_labels(
    source: str | PathLike[str],
    out: str | PathLike[str],
    smpl: SmplModel,
    body: Body,
    options: SmplFitOptions | None = None,
    *,
    flip: bool = True,
    progress: Progress = quiet,
) -> LabelSummary:
    """Convert every ``.npz`` of a folder; existing results are kept, so an interrupted run can be resumed.

    Args:
        source: a folder (with its subfolders), or one file.
        out: folder for the results, laid out like ``source``, with a summary (``labels.json``) and a list of file, item and
            reasons of rejection (``rejected.tsv``).
        smpl: the SMPL file that the labels were made with.
        body: the SKEL file.
        options: of the fit.
        flip: whether to fit the mirrored persons too.
        progress: called with the number of files done.

    Returns:
        Counts over all files, those of earlier runs included.

    Raises:
        InputError: nothing to convert.
        FormatError: a file without SMPL parameters; results of the files before it stay.
    """
    source, out = Path(source), Path(out)
    root = source if source.is_dir() else source.parent
    files = sorted(source.rglob("*.npz")) if source.is_dir() else [source]
    if not files or not files[0].exists():
        raise InputError(f"{source}: there is no .npz file to convert")
    fitter = SmplFitter(smpl, body, options or SmplFitOptions())
    skipped = 0
    for index, file in enumerate(files):
        target = out / file.relative_to(root)
        if target.exists():
            skipped += 1
        else:
            result = convert_items(fitter, read_values(file, flattened(plain(load_numpy(file)))), flip=flip)
            with new_file(target) as part, part.open("wb") as stream:
                np.savez(stream, **(result | {"body": np.array(body.name)}))
        progress("SMPL labels", index + 1, len(files))
    return _summarise(out, [file.relative_to(root) for file in files], skipped)


def convert_items(fitter: SmplFitter, values: SmplValues, *, flip: bool = True) -> dict[str, Any]:
    """Convert N independent people.

    Args:
        fitter: of the pair of files.
        values: rotations and betas of N people; a translation is not needed.
        flip: whether to fit the mirrored persons too.

    Returns:
        ``orig_poses`` (N, 46), ``orig_betas`` (N, 10), ``orig_trans`` (N, 3), ``orig_pve_max`` and ``orig_pve_mean`` (N,) in m
        over all vertices, the same for ``flip_``, ``accepted`` (N,) and ``reasons`` (N,) separated by ``; ``.

    Raises:
        InputError: no rotations or betas.
    """
    if values.rotations is None or values.betas is None:
        raise InputError("labels need SMPL rotations and betas")
    count = len(values.rotations)
    betas = np.broadcast_to(np.atleast_2d(values.betas), (count, 10))
    trans = np.zeros((count, 3)) if values.trans_m is None else values.trans_m
    sides = {"orig": (values.rotations, trans)}
    if flip:
        sides["flip"] = (mirrored(values.rotations), trans * [-1, 1, 1])
    result: dict[str, Any] = {}
    reasons: list[list[str]] = [[] for _ in range(count)]
    for name, (rotations, trans_m) in sides.items():
        parts = [_fit(fitter, rotations[s], betas[s], trans_m[s]) for s in _slices(count, fitter.options.chunk)]
        q, mean, worst = (np.concatenate(column) for column in zip(*parts, strict=True))
        result |= {f"{name}_poses": q[:, :46], f"{name}_betas": betas.copy(), f"{name}_trans": q[:, 46:]}
        result |= {f"{name}_pve_mean": mean, f"{name}_pve_max": worst}
        for item, found in enumerate(rejections(q[:, :46], worst, rotations)):
            reasons[item] += [reason for reason in found if reason not in reasons[item]]
    result["reasons"] = np.array(["; ".join(found) for found in reasons])
    result["accepted"] = np.array([not found for found in reasons])
    return result


def mirrored(rotations: FloatArray) -> FloatArray:
    """(N, 24, 3, 3) SMPL rotations of the mirrored person; the mirror is x = 0."""
    sign = np.array([-1.0, 1.0, 1.0])
    return np.asarray(sign[:, None] * rotations[:, _MIRROR] * sign)


def rejections(poses_rad: FloatArray, pve_max_m: FloatArray, rotations: FloatArray) -> list[list[str]]:
    """Find reasons not to train on a fit.

    Args:
        poses_rad: (N, 46) fitted.
        pve_max_m: (N,) largest vertex error.
        rotations: (N, 24, 3, 3) of SMPL.

    Returns:
        Reasons per item.
    """
    limits = fit_bounds(LIMITS_WITH_REST_RAD)[:46]
    scapula = [DOF_NAMES.index(name) for name in DOF_NAMES if name.startswith("scapula")]
    margin = np.minimum(poses_rad - limits[:, 0], limits[:, 1] - poses_rad)
    tests = {
        "skin too far": ~(pve_max_m < LARGEST_VERTEX_ERROR_M),
        "forearm twisted": forearm_twist_rad(rotations).max(axis=1) > FOREARM_TWIST_RAD,
        "knee bent the wrong way": knee_error_rad(rotations).max(axis=1) > KNEE_WRONG_RAD,
        "scapula at its bound": (margin[:, scapula] < AT_BOUND_RAD).any(axis=1),
        "beyond limits": (margin < -BEYOND_LIMIT_RAD).any(axis=1),
    }
    return [[reason for reason, hit in tests.items() if hit[item]] for item in range(len(poses_rad))]


def forearm_twist_rad(rotations: FloatArray) -> FloatArray:
    """(N, 2) rotation of the hand relative to the upper arm about the forearm, left and right: twist of elbow and wrist."""
    twists = []
    for elbow, wrist in _ELBOWS_WRISTS:
        quaternion = Rotation.from_matrix(rotations[:, elbow] @ rotations[:, wrist]).as_quat()
        twists.append(np.abs(2 * np.arctan2(quaternion[:, 0], quaternion[:, 3])))
    twist = np.stack(twists, axis=1)
    return np.asarray(np.minimum(twist, 2 * np.pi - twist))


def knee_error_rad(rotations: FloatArray) -> FloatArray:
    """(N, 2) flexion of the knees to the front or sideways, the larger of both, left and right."""
    errors = []
    for knee in _KNEES:
        shank = rotations[:, knee] @ np.array([0.0, -1.0, 0.0])
        front = np.where(shank[:, 2] > 0, np.arctan2(shank[:, 2], -shank[:, 1]), 0.0)
        errors.append(np.maximum(front, np.arcsin(np.clip(np.abs(shank[:, 0]), 0, 1))))
    return np.stack(errors, axis=1)


def _slices(total: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, total, size)]


def _fit(fitter: SmplFitter, rotations: FloatArray, betas: FloatArray, trans: FloatArray) -> tuple[FloatArray, ...]:
    """Angles and translation (N, 49), and mean and largest vertex error (N,) over the whole skin."""
    fitted = fitter.fit(rotations, trans, betas, continuous=False)
    mean, worst = [], []
    with torch.no_grad():
        for s in _slices(len(rotations), _FRAMES_AT_ONCE):
            q, shape = torch.tensor(fitted.q[s], dtype=torch.float32), torch.tensor(betas[s], dtype=torch.float32)
            skin = fitter.body.skin(q[:, :46], shape, q[:, 46:])
            wanted = fitter.smpl.forward(rotations[s], betas[s], trans[s], dtype=torch.float32).vertices_m
            distance = (skin - wanted).norm(dim=-1)
            mean.append(distance.mean(1).double().numpy())
            worst.append(distance.amax(1).double().numpy())
    return fitted.q, np.concatenate(mean), np.concatenate(worst)


def _summarise(out: Path, files: list[Path], skipped: int) -> LabelSummary:
    """Gather the results of all files, write ``labels.json`` and ``rejected.tsv``."""
    lines, counts = [], Counter[str]()
    quality: dict[str, dict[str, float]] = {}
    for file in files:
        stored = load_numpy(out / file)
        quality[file.as_posix()] = {
            "items": len(stored["accepted"]),
            "accepted": int(stored["accepted"].sum()),
            "mean_vertex_error_mm": float(stored["orig_pve_mean"].mean() * 1e3),
            "share_of_angles_beyond_limits": float((limit_excess(stored["orig_poses"]) > _SHOWN_EXCESS_RAD).mean()),
        }
        for index, reasons in enumerate(stored["reasons"].tolist()):
            if reasons:
                lines.append(f"{file.as_posix()}\t{index}\t{reasons}")
                counts.update(reasons.split("; "))
    items, accepted = (sum(int(row[name]) for row in quality.values()) for name in ("items", "accepted"))
    summary = LabelSummary(len(files), skipped, items, accepted, dict(counts.most_common()))
    with new_file(out / "labels.json") as part:
        text = {"items": items, "accepted": accepted, "rejected_for": summary.reasons, "files": quality}
        part.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    with new_file(out / "rejected.tsv") as part:
        part.write_text("".join(f"{line}\n" for line in ["file\titem\treasons", *lines]), encoding="utf-8")
    return summary
