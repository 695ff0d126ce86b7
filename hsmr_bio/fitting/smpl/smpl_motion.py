"""SMPL motion as a value, and its axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ...arrays import freeze, increasing_time
from ...errors import InputError, ShapeError
from ...option_checks import check_choice
from ...types import FloatArray, Frame, Sex

Axes = Literal["y_up", "z_up", "camera"]
"""``y_up``: SMPL's own; ``z_up``: AMASS; ``camera``: x right, y down, z away (HMR2.0)."""

TO_SKEL_AXES: Mapping[Axes, FloatArray] = {
    "y_up": np.eye(3),
    "z_up": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "camera": np.eye(3),
}
"""Rotation from the axes of the file to those of the result: -90 degrees about x for z-up; camera axes stay."""
SMPL_PELVIS_M: FloatArray = np.array([-0.002, -0.223, 0.028])
SMPLX_PELVIS_M: FloatArray = np.array([0.003, -0.351, 0.012])
"""Pelvis of the neutral rest pose, from the origin that the translation moves: SMPL and SMPL-H, then SMPL-X. The root turns
about it: 2 x 0.35 m are lost where a turned SMPL-X person is taken to turn about the origin. Individuals differ by a few
centimetres.

Source:
    Loper et al. 2015; Pavlakos et al. 2019 (joint 0 of the mean shape, as facts). Checked against numbers that public programs
    state: SMPL -0.00179506, -0.22333345, 0.02821913 (root offsets of motion converters), SMPL-X 0.0031, -0.3514, 0.0120
    (``SMPLX_REST_WORLD`` of kimodo's exporter).
"""
_UPRIGHT_ENOUGH = 0.5
"""Mean component of the body's up axis along the world's in a motion that is upright most of the time (own choice)."""
_ORTHONORMAL = 1e-3
"""Tolerance of the entries of ``R R^T``; files may store float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SmplMotion:
    """One person's motion as SMPL parameters, or as SMPL joint positions alone."""

    time_s: FloatArray
    """(T,) seconds, strictly increasing."""
    rotations: FloatArray | None = None
    """(T, 24, 3, 3) of each joint in its parent, the root's in the world; None: only joints are known."""
    trans_m: FloatArray | None = None
    """(T, 3) SMPL translation; None: not known (zero)."""
    joints_m: FloatArray | None = None
    """(T, 24, 3) SMPL joints in the world, or None: they follow from the other values and the SMPL file."""
    betas: FloatArray | None = None
    """(10,), or (T, 10) if every frame has its own; None: not known."""
    sex: Sex = "neutral"
    axes: Axes = "y_up"
    pelvis_m: FloatArray | None = None
    """(3,) rest position of the pelvis, where the translation belongs to another body than SMPL's (SMPL-X); None: SMPL's."""
    source: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        frames = len(self.time_s)
        if self.rotations is None and self.joints_m is None:
            raise InputError("SMPL motion needs rotations or joints; both are missing")
        betas = (10,) if self.betas is not None and np.ndim(self.betas) == 1 else (frames, 10)
        freeze(
            self,
            {
                "rotations": (frames, 24, 3, 3),
                "trans_m": (frames, 3),
                "joints_m": (frames, 24, 3),
                "betas": betas,
                "pelvis_m": (3,),
            },
        )
        if self.rotations is not None:
            _check_rotations(self.rotations)
        check_choice("axes", self.axes, tuple(TO_SKEL_AXES))

    @property
    def frame(self) -> Frame:
        """Frame of the SKEL motion that results."""
        return "camera" if self.axes == "camera" else "skel"

    @property
    def to_skel_axes(self) -> FloatArray:
        """(3, 3) rotation from the axes of the file to those of the result."""
        return TO_SKEL_AXES[self.axes]


def _check_rotations(rotations: FloatArray) -> None:
    product = rotations @ np.swapaxes(rotations, -1, -2)
    off = np.abs(product - np.eye(3)).max(axis=(-1, -2))
    bad = (off > _ORTHONORMAL) | (np.linalg.det(rotations) < 0)
    if bad.any():
        frame, joint = (int(i) for i in np.argwhere(bad)[0])
        raise ShapeError(
            f"rotations must be rotation matrices, but that of frame {frame}, joint {joint} is not "
            f"({int(bad.sum())} of {bad.size} are not). Axis-angle values must be converted first"
        )


def recognise_axes(root_rotations: FloatArray) -> Axes:
    """Recognise the axes of a file from the root's orientation: most of the time the body is upright.

    Args:
        root_rotations: (T, 3, 3) of the root; the body's up axis is y.

    Returns:
        ``y_up``, ``z_up`` or ``camera`` (y down).

    Raises:
        InputError: the body lies or turns over, so that the vertical cannot be recognised; the caller must give it.
    """
    mean = root_rotations[:, :, 1].mean(axis=0)
    scores: dict[Axes, float] = {"y_up": float(mean[1]), "z_up": float(mean[2]), "camera": float(-mean[1])}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < _UPRIGHT_ENOUGH:
        raise InputError(
            "the vertical cannot be recognised from this motion (the body is not upright most of the time); "
            "give the axes: y_up, z_up or camera"
        )
    return best
