"""Refuse observations that cannot be fitted, with advice, before a fit starts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hsmr_bio.body.keypoint_table import keypoint_sets, point_names
from hsmr_bio.errors import EstimationError
from hsmr_bio.types import FloatArray, Observation

LEAST_STATURE_PX = 50.0
"""Below, landmarks have a systematic error of more than 23 mm and depth is lost (rendered people of known size)."""
CAMERA_MOVES_SHARE = 0.04
"""Share of the picture's longer side by which its corners may move. A camera with the usual angle of view turns by 2.5
degrees for it, as much as the estimated direction of gravity errs."""
_MIN_SHARE = 0.25
"""Share of the frames in which each part of the body must be visible."""
_MIN_CONFIDENCE = 0.5
"""Confidence from which a landmark counts as visible."""
_MIN_FOREIGN_CONFIDENCE = 0.3
"""The same for other detectors: the default of Pose2Sim and Sports2D."""
_STATURE_PERCENTILE = 90
"""Of the length of trunk and legs over the frames: where they are stretched out and not foreshortened."""
_TRUNK_AND_LEG_SHARE = 0.78
"""(trunk + thigh + shank) / stature, Drillis & Contini segment lengths: 0.288 + 0.245 + 0.246."""


def refuse_unusable(observation: Observation) -> None:
    """Refuse an observation without a person, with half a person, or with a very small one.

    Args:
        observation: of a shipped keypoint set; of other sets only visibility is checked.

    Raises:
        EstimationError: one of these; the message advises how to film.
    """
    if not observation.seen.any():
        raise EstimationError("the person is not seen in any frame")
    if observation.keypoint_set not in keypoint_sets():
        return
    seen = observation.confidence[observation.seen]
    shoulders, hips, knees, ankles = _chain(observation)
    least = _MIN_CONFIDENCE if observation.keypoint_set == "blazepose33" else _MIN_FOREIGN_CONFIDENCE
    for part, pairs in {"shoulders": (shoulders,), "hips": (hips,), "legs": (knees, ankles)}.items():
        share = float(np.mean([np.max(seen[:, pair], axis=1) > least for pair in pairs]))
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
    """Estimate the person's stature in pixels, from trunk and legs where they are stretched out most; infinite if not seen."""
    px = observation.keypoints_px[observation.seen]

    def middle(pair: list[int]) -> FloatArray:
        return np.asarray(px[:, pair].mean(axis=1))

    chain = [middle(pair) for pair in _chain(observation)]
    length = np.sum([np.linalg.norm(b - a, axis=1) for a, b in pairwise(chain)], axis=0)
    known = length[np.isfinite(length)]
    return float(np.percentile(known, _STATURE_PERCENTILE) / _TRUNK_AND_LEG_SHARE) if len(known) else np.inf


def _chain(observation: Observation) -> list[list[int]]:
    """Columns of both shoulders, hips, knees and ankles of a shipped set."""
    names = point_names(str(observation.keypoint_set))
    return [[names.index(f"{side}_{place}") for side in ("left", "right")] for place in ("shoulder", "hip", "knee", "ankle")]


def refuse_moving_camera(observation: Observation) -> None:
    """Raise if the background shows that the camera moved by more than ``CAMERA_MOVES_SHARE``.

    Raises:
        EstimationError: says when and how far it moved, and what to do.
    """
    shift = observation.camera_shift_px
    if shift is None or not np.isfinite(shift).any():
        return
    side, frame = max(observation.camera.image_size_px), int(np.nanargmax(shift))
    worst = float(shift[frame])
    if worst > CAMERA_MOVES_SHARE * side:
        raise EstimationError(
            f"the camera moves: at {observation.time_s[frame]:.2f} s the picture has shifted by {worst:.0f} px "
            f"({worst / side:.0%} of its longer side). Film from a tripod, cut the clip to a part where the camera rests "
            "(--start, --end), or go on with --moving-camera and a world that is wrong where it moves"
        )
