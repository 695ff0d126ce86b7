"""Tracking results: video frames with their people are regrouped to people with their frames.

Source:
    4D-Humans (Goel et al. 2023) and PHALP (Rajasegaran et al. 2022): names of the stored values, as facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError

_IDS = ("tid", "tracked_ids")
_PARAMETERS = ("global_orient", "body_pose", "betas")


def follow_tracks(path: Path, frames: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]] | None:
    """Collect the frames of each person by the number that the tracker gave.

    Args:
        path: of the file, for messages.
        frames: one mapping per video frame: ``tid`` (or ``tracked_ids``), ``smpl`` and perhaps ``camera`` with one entry per
            person, and ``tracked_time``, the number of frames since a person was last detected.

    Returns:
        One mapping per person, longest first; frames without a detection are left out (``frame_ids`` names the others). None
        if these are not frames of a tracker.

    Raises:
        FormatError: the lists of a frame do not fit together.
    """
    if not any(isinstance(frame.get("smpl"), list) and any(key in frame for key in _IDS) for frame in frames):
        return None
    people: dict[int, dict[str, list[Any]]] = {}
    for number, frame in enumerate(frames):
        ids: Sequence[Any] = next((frame[key] for key in _IDS if key in frame), [])
        bodies = frame.get("smpl") or []
        if len(ids) != len(bodies):
            raise FormatError(path, f"frame {number}", f"{len(ids)} people, but {len(bodies)} SMPL bodies")
        cameras, unseen_frames = frame.get("camera"), frame.get("tracked_time")
        for index, (person, body) in enumerate(zip(ids, bodies, strict=True)):
            if not isinstance(body, Mapping) or (unseen_frames is not None and unseen_frames[index] != 0):
                continue
            track = people.setdefault(int(np.asarray(person)), {key: [] for key in ("frame_ids", "cam_t", *_PARAMETERS)})
            track["frame_ids"].append(number)
            for key in _PARAMETERS:
                if key not in body:
                    raise FormatError(path, f"frame {number}", f"an SMPL body without {key}")
                track[key].append(np.asarray(body[key], dtype=np.float64))
            if cameras is not None and np.size(cameras[index]) == 3:
                track["cam_t"].append(np.asarray(cameras[index], dtype=np.float64).reshape(3))
    return [_stacked(track) for track in sorted(people.values(), key=lambda track: -len(track["frame_ids"]))]


def _stacked(track: dict[str, list[Any]]) -> dict[str, Any]:
    """Stack the values of a person's frames; rotations are matrices or axis-angle values."""
    count = len(track["frame_ids"])
    stacked: dict[str, Any] = {"frame_ids": np.array(track["frame_ids"]), "betas": np.stack(track["betas"]).reshape(count, -1)}
    for key, joints in (("global_orient", 1), ("body_pose", 23)):
        values = np.stack(track[key])
        stacked[key] = values.reshape((count, joints, 3, 3) if values.size == count * joints * 9 else (count, -1))
    if len(track["cam_t"]) == count:
        stacked["cam_t"] = np.stack(track["cam_t"])
    return stacked
