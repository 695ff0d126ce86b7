"""Refuse observations that cannot be fitted, with advice, before a fit starts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hsmr_bio.errors import EstimationError
from hsmr_bio.types import FloatArray, Observation

from .pose_graph import ANKLES, HIPS, KNEES, SHOULDERS

LEAST_STATURE_PX = 50.0
"""Below, landmarks have a systematic error of more than 23 mm and depth is lost (rendered people of known size)."""
CAMERA_SHIFT_SHARE = 0.02
"""Share of the picture's longer side by which its corners may move: above compression noise and the play of a tripod."""
_MIN_SHARE = 0.25
"""Share of the frames in which each part of the body must be visible."""
_MIN_CONFIDENCE = 0.5
"""Confidence from which a landmark counts as visible."""
_STATURE_PERCENTILE = 90
"""Of the length of trunk and legs over the frames: where they are stretched out and not foreshortened."""
_TRUNK_AND_LEG_SHARE = 0.78
"""(trunk + thigh + shank) / stature, Drillis & Contini segment lengths: 0.288 + 0.245 + 0.246."""


def refuse_unusable(observation: Observation, *, moving_camera: bool = False) -> None:
    """Refuse an observation without a person, with half a person, with a very small one, or with a moving camera.

    Args:
        observation: keypoint set ``blazepose33``; of other sets only visibility and camera are checked.
        moving_camera: accept a moving camera.

    Raises:
        EstimationError: one of these; the message advises how to film.
    """
    if not observation.seen.any():
        raise EstimationError("the person is not seen in any frame")
    if not moving_camera:
        _refuse_moving(observation)
    if observation.keypoint_set != "blazepose33":
        return
    seen = observation.confidence[observation.seen]
    for part, pairs in {"shoulders": (SHOULDERS,), "hips": (HIPS,), "legs": (KNEES, ANKLES)}.items():
        share = float(np.mean([np.max(seen[:, pair], axis=1) > _MIN_CONFIDENCE for pair in pairs]))
        if share < _MIN_SHARE:
            raise EstimationError(
                f"only part of the person is in the picture: the {part} are visible in {share:.0%} of the frames. "
                "Film the whole body, from head to feet"
            )
    height = stature_px(observation)
    if height < LEAST_STATURE_PX:
        raise EstimationError(
            f"the person is about {height:.0f} pixels tall; at least {LEAST_STATURE_PX:.0f} are needed, 200 are good. "
            "Film from a smaller distance, or crop the video around the person"
        )


def stature_px(observation: Observation) -> float:
    """Estimate the person's stature in pixels, from trunk and legs where they are stretched out most."""
    px = observation.keypoints_px[observation.seen]

    def middle(pair: list[int]) -> FloatArray:
        return np.asarray(px[:, pair].mean(axis=1))

    chain = [middle(pair) for pair in (SHOULDERS, HIPS, KNEES, ANKLES)]
    length = sum(np.linalg.norm(b - a, axis=1) for a, b in pairwise(chain))
    return float(np.nanpercentile(length, _STATURE_PERCENTILE) / _TRUNK_AND_LEG_SHARE)


def _refuse_moving(observation: Observation) -> None:
    if observation.camera_shift_px is None:
        return
    shares = observation.camera_shift_px / max(observation.camera.image_size_px)
    if shares.max() > CAMERA_SHIFT_SHARE:
        when, share = float(observation.time_s[int(np.argmax(shares > CAMERA_SHIFT_SHARE))]), float(shares.max())
        raise EstimationError(
            f"the camera moves: from {when:.1f} s on the background has shifted, by up to {share:.0%} of the picture. "
            "Put the phone on a tripod or against something solid, or cut the clip with --start and --end"
        )
