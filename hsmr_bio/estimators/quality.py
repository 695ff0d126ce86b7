"""Refuses observations that no fit can make sense of, with advice, before time is spent on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hsmr_bio.errors import EstimationError
from hsmr_bio.types import FloatArray, Observation

LEAST_STATURE_PX = 50.0
"""Below, landmarks are off by more than 23 mm of shift alone and depth is lost (rendered people of known size)."""
CAMERA_SHIFT_SHARE = 0.02
"""Share of the picture's longer side by which its corners may move: more than compression noise and a creaking tripod."""
_LEAST_SHARE = 0.25
_SURE = 0.5
_SHOULDERS, _HIPS, _KNEES, _ANKLES = (11, 12), (23, 24), (25, 26), (27, 28)
_TRUNK_AND_LEG_SHARE = 0.78
"""(trunk + thigh + shank) / stature, Drillis & Contini segment lengths: 0.288 + 0.245 + 0.246."""


def refuse_unusable(observation: Observation, *, moving_camera: bool = False) -> None:
    """Raise if an observation of BlazePose landmarks shows too little: nobody, half a person, a speck, a moving camera.

    Args:
        observation: keypoint set ``blazepose33``; other sets are checked for being seen and for the camera only.
        moving_camera: accept a moving camera.

    Raises:
        EstimationError: says what is wrong and how to film instead.
    """
    if not observation.seen.any():
        raise EstimationError("the person is not seen in any frame")
    if not moving_camera:
        _refuse_moving(observation)
    if observation.keypoint_set != "blazepose33":
        return
    seen = observation.confidence[observation.seen]
    for part, pairs in {"shoulders": (_SHOULDERS,), "hips": (_HIPS,), "legs": (_KNEES, _ANKLES)}.items():
        share = float(np.mean([np.max(seen[:, pair], axis=1) > _SURE for pair in pairs]))
        if share < _LEAST_SHARE:
            raise EstimationError(
                f"only part of the person is in the picture: the {part} are visible in {share:.0%} of the frames. "
                "Film the whole body, from head to feet"
            )
    height = stature_px(observation)
    if height < LEAST_STATURE_PX:
        raise EstimationError(
            f"the person is about {height:.0f} pixels tall; at least {LEAST_STATURE_PX:.0f} are needed, 200 are good. "
            "Film from nearer, or crop the video around the person"
        )


def stature_px(observation: Observation) -> float:
    """Rough stature of the person in pixels, from trunk and legs where they are stretched out most."""
    px = observation.keypoints_px[observation.seen]

    def middle(pair: tuple[int, int]) -> FloatArray:
        return np.asarray(px[:, pair].mean(axis=1))

    chain = [middle(pair) for pair in (_SHOULDERS, _HIPS, _KNEES, _ANKLES)]
    length = sum(np.linalg.norm(b - a, axis=1) for a, b in pairwise(chain))
    return float(np.nanpercentile(length, 90) / _TRUNK_AND_LEG_SHARE)


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
