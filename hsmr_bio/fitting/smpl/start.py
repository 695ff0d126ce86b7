"""SKEL's angles from wanted bones: each bone is turned like the SMPL part that it lies in."""

from __future__ import annotations

import torch
from torch import Tensor

from ...body.body import Body
from ...body.forward import chain
from ...body.smpl_model import SMPL_PARENTS
from ...kinematics.tree_fit import Bounds, Weights, fit_tree
from ...skeleton import LIMITS_WITH_REST_RAD, fit_bounds
from ...types import FloatArray

PART_OF_BONE: tuple[int, ...] = (0, 2, 5, 8, 8, 11, 1, 4, 7, 7, 10, 3, 9, 15, 14, 17, 19, 21, 21, 13, 16, 18, 20, 20)
"""SMPL joint that turns the part each SKEL bone lies in; the radius turns with the hand."""
_CENTRE_SD_M = 0.01
_ORIENTATION_SD_RAD = 0.1
"""Differences between SMPL's and SKEL's joints and bones that a first guess allows for (own choice)."""
_START_WEIGHTS = Weights(torch.full((24,), 1 / _CENTRE_SD_M).double(), torch.full((24,), 1 / _ORIENTATION_SD_RAD).double())
_START_STEPS = 2
"""Steps of a first guess, which the fit of the skin refines."""
_LIMITS = Bounds(*fit_bounds(LIMITS_WITH_REST_RAD).T)


def part_rotations(rotations: Tensor) -> Tensor:
    """(T, 24, 3, 3) rotation of each SKEL bone from the T pose, in the world, from SMPL's local rotations."""
    world, _ = chain(SMPL_PARENTS, rotations, torch.zeros_like(rotations[..., 0]))
    return world[:, list(PART_OF_BONE)]


def place_bones(
    body: Body,
    betas: FloatArray,
    turns: Tensor,
    centres_m: Tensor,
    *,
    continuous: bool = True,
    weights: Weights = _START_WEIGHTS,
    iterations: int = _START_STEPS,
) -> FloatArray:
    """Fit a body's angles and translation to wanted rotations of its bones and wanted joint centres.

    Args:
        body: SKEL or the open body.
        betas: (10,).
        turns: (T, 24, 3, 3) wanted rotation of each bone from its T pose, in the world.
        centres_m: (T, 24, 3) wanted joint centres.
        continuous: whether the frames are a motion.
        weights: of the bones; by default those of a first guess.
        iterations: most Gauss-Newton steps.

    Returns:
        (T, 49) angles and translation, rad and m.
    """
    wanted = turns @ body.rest_pose(betas).rotations
    fitted = fit_tree(
        body.tree(betas), centres_m, wanted, _LIMITS, weights=weights, iterations=iterations, continuous=continuous
    )
    return fitted.q
