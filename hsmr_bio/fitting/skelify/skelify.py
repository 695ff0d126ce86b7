"""SKELify: fit SKEL to the 2D keypoints of single images, by default with :mod:`hsmr_bio.fitting.skelify.gauss_newton`.

``method="lbfgs"`` is the paper's procedure (:mod:`hsmr_bio.fitting.skelify.lbfgs`) for the same objective.

Source:
    Xia et al. 2025 (HSMR), sec. 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...arrays import readonly
from ...body.body import Body
from ...errors import InputError
from ...hsmr.camera import camera_to_translation
from ...hsmr.pose import MEAN_BETAS, MEAN_CAMERA, MEAN_POSE_RAD
from ...option_checks import check_choice
from .gauss_newton import KeypointModel, skelify_gauss_newton
from .hsmr_points import HsmrPoints
from .lbfgs import SkelifyResult, skelify_lbfgs
from .objective import FULL, REFINE, person_scale

Numbers = ArrayLike | Tensor
Schedules = Literal["auto", "full", "refine"]
Methods = Literal["gauss-newton", "lbfgs"]
_LEAST_SCALE = 1e-4
"""Smallest size of a person in patch units that can be measured."""


def skelify(
    keypoints_2d: Numbers,
    model: Body | KeypointModel,
    *,
    poses_rad: Numbers | None = None,
    betas: Numbers | None = None,
    translation_m: Numbers | None = None,
    schedule: Schedules = "auto",
    method: Methods = "gauss-newton",
) -> SkelifyResult:
    """Fit SKEL to the 2D keypoints of each image on its own.

    Args:
        keypoints_2d: (B, 44, 3) normalised patch units (-0.5 to 0.5 over the person's square box) and confidence;
            keypoints that were not seen have a confidence of 0 and any finite position.
        model: a body, with the keypoints of the shipped table; or the keypoints, e.g. those of HSMR's own regressors,
            ``HsmrPoints.from_regressors(body, ...)``.
        poses_rad: (B, 46) start, in camera axes; None: HSMR's mean pose.
        betas: (B, 10) start; None: HSMR's mean shape on a licensed body, zero on the open one.
        translation_m: (B, 3) start, patch camera of focal length 5000 px; None: HSMR's mean camera.
        schedule: ``"full"`` begins with the camera; ``"refine"`` keeps near the start (priors as in training); ``"auto"`` is
            ``"refine"`` if poses are given.
        method: ``"gauss-newton"`` (each image alone) or ``"lbfgs"`` (the paper's procedure: the batch as one problem).

    Returns:
        Poses, betas, translation, error per image and the objective.

    Raises:
        ShapeError: shapes that do not fit, or values that are not finite.
        InputError: an unknown schedule or method, an image without any confident keypoint, or a person without size.
    """
    check_choice("schedule", schedule, get_args(Schedules))
    check_choice("method", method, get_args(Methods))
    model = HsmrPoints.from_table(model) if isinstance(model, Body) else model
    label = _checked("keypoints_2d", keypoints_2d, (None, 44, 3))
    count = len(label)
    if bool((label[..., 2].sum(1) <= 0).any()):
        empty = int(torch.argmax((label[..., 2].sum(1) <= 0).int()))
        raise InputError(f"image {empty} has no keypoint with a confidence above 0: leave it out")
    if bool((person_scale(label) < _LEAST_SCALE).any()):
        raise InputError("shoulders and hips (keypoints 2, 5, 9, 12) must be given in every image: they measure its scale")
    stages = REFINE if schedule == "refine" or (schedule == "auto" and poses_rad is not None) else FULL
    open_body = isinstance(model, HsmrPoints) and model.body.name.startswith("open")
    mean_translation = camera_to_translation(torch.tensor(MEAN_CAMERA, dtype=torch.float64))
    start = (
        _or_mean("poses_rad", poses_rad, MEAN_POSE_RAD, count),
        _or_mean("betas", betas, (0.0,) * 10 if open_body else MEAN_BETAS, count),
        _or_mean("translation_m", translation_m, mean_translation, count),
    )
    if method == "gauss-newton":
        return skelify_gauss_newton(model, label, *start, schedule=stages)
    return skelify_lbfgs(model, label.float(), *(value.float() for value in start), schedule=stages, compat=False)


def _checked(name: str, value: Numbers, shape: tuple[int | None, ...]) -> Tensor:
    """The value as float64 of a shape (None: any length); ShapeError if it is not, or not finite."""
    return torch.tensor(readonly(name, value.detach().cpu().numpy() if isinstance(value, Tensor) else value, shape))


def _or_mean(name: str, value: Numbers | None, mean: Sequence[float] | Tensor, count: int) -> Tensor:
    """(B, N) the value, or the mean (N,) for every sample."""
    if value is None:
        return torch.as_tensor(mean, dtype=torch.float64).expand(count, -1).clone()
    return _checked(name, value, (count, len(mean)))
