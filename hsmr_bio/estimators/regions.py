"""What the pose networks are asked for and what they give: regions of a picture, detections, landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsmr_bio.types import FloatArray

LANDMARKS = 33
"""Landmarks per person."""
SHOULDERS, HIPS, KNEES, ANKLES = [11, 12], [23, 24], [25, 26], [27, 28]
"""Landmarks of the left and right joint."""
FIRST_BODY_LANDMARK = 11
"""The landmarks before are of the face."""
ROI_MARGIN = 1.25
"""Enlargement of the square around a person (MediaPipe, pose_landmarks_to_roi.pbtxt)."""


@dataclass(frozen=True, eq=False)
class Region:
    """A rotated square around one person, in pixels."""

    center_px: FloatArray
    """(2,) middle of the hips."""
    side_px: float
    rotation_rad: float
    """Clockwise lean of the person in the picture."""

    @classmethod
    def around(cls, hips_px: FloatArray, reach_px: FloatArray) -> Region:
        """Make the square around the hips that contains the circle around the whole body.

        Args:
            hips_px: (2,) middle of the hips.
            reach_px: (2,) a point on that circle; in an upright person it is above the hips.

        Returns:
            The square, enlarged by ``ROI_MARGIN``.

        Source:
            MediaPipe, AlignmentPointsRectsCalculator: the line from hips to reach points up in an upright person.
        """
        line = np.asarray(reach_px) - np.asarray(hips_px)
        rotation = np.pi / 2 - np.arctan2(-line[1], line[0])
        rotation = (rotation + np.pi) % (2 * np.pi) - np.pi
        return cls(np.asarray(hips_px, dtype=np.float64), float(2 * ROI_MARGIN * np.hypot(*line)), float(rotation))

    @property
    def usable(self) -> bool:
        """Whether it has a size and a place."""
        return bool(self.side_px > 0 and np.isfinite(self.side_px) and np.isfinite(self.center_px).all())


@dataclass(frozen=True, eq=False)
class Detection:
    """One person found by the detector."""

    region: Region
    score: float


@dataclass(frozen=True, eq=False)
class Landmarks:
    """One person's 33 landmarks in one picture."""

    px: FloatArray
    """(33, 2)."""
    world_m: FloatArray
    """(33, 3) relative to the middle of the hips: x right, y down, z forward."""
    visibility: FloatArray
    """(33,) in [0, 1]."""
    region: Region
    """The square to search for the same person in the next picture."""
