"""Tracking results: a list of video frames, each with its people, turned into people, each with their frames.

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
    """Follow each person through the frames by the number that the tracker gave.

    Args:
        path: for messages.
        frames: one mapping per video frame: ``tid`` (or ``tracked_ids``), ``smpl`` and perhaps ``camera`` with one entry per
            person, and ``tracked_time``, the number of frames since a person was last really seen.

    Returns:
        One mapping per person, whoever is seen longest first; frames without a real sight are left out (``frame_ids`` says
        which are there). None if these are not frames of a tracker.

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
        cameras, waits = frame.get("camera"), frame.get("tracked_time")
        for index, (person, body) in enumerate(zip(ids, bodies, strict=True)):
            if not isinstance(body, Mapping) or (waits is not None and waits[index] != 0):
                continue
            track = people.setdefault(int(np.asarray(person)), {key: [] for key in ("frame_ids", "cam_t", *_PARAMETERS)})
            track["frame_ids"].append(number)
            for key in _PARAMETERS:
                if key not in body:
                    raise FormatError(path, f"frame {number}", f"an SMPL body without {key}")
                track[key].append(np.asarray(body[key], dtype=np.float64))
            if cameras is not None and np.size(cameras[index]) == 3:
                track["cam_t"].append(np.asarray(cameras[index], dtype=np.float64).reshape(3))
    longest = sorted(people.values(), key=lambda track: -len(track["frame_ids"]))
    return [_stacked(track) for track in longest]


def _stacked(track: dict[str, list[Any]]) -> dict[str, Any]:
    count = len(track["frame_ids"])
    joints = {"global_orient": 1, "body_pose": 23}
    made: dict[str, Any] = {"frame_ids": np.array(track["frame_ids"]), "betas": np.stack(track["betas"]).reshape(count, -1)}
    for key, number in joints.items():
        values = np.stack(track[key])
        made[key] = values.reshape(count, number, 3, 3) if values.size == count * number * 9 else values.reshape(count, -1)
    if len(track["cam_t"]) == count:
        made["cam_t"] = np.stack(track["cam_t"])
    return made
