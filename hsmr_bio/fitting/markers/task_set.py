"""Weights of markers from OpenSim's files: an IKTaskSet, alone or in the setup of the InverseKinematicsTool."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import FormatError, InputError
from ...io.xml_file import Element, parse_xml

_DECLARATION = re.compile(rb"^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*\?>")
_MARKER, _COORDINATE = "IKMarkerTask", "IKCoordinateTask"


@dataclass(frozen=True)
class TaskSet:
    """What an IKTaskSet asks for."""

    weights: dict[str, float]
    """Marker -> weight; a task that is not applied has the weight 0. OpenSim uses no other markers."""
    coordinates: tuple[str, ...]
    """Coordinates that it pulls to a value."""

    def weights_of(self, measured: tuple[str, ...], model: tuple[str, ...]) -> dict[str, float]:
        """Weights for :func:`~hsmr_bio.fitting.markers.inverse_kinematics.inverse_kinematics`.

        Args:
            measured: names of the measured markers.
            model: names of the model's markers.

        Returns:
            Weight of each measured marker, 0 without a task; tasks of markers that are in neither are left out.
        """
        known = {name: weight for name, weight in self.weights.items() if name in measured or name in model}
        return dict.fromkeys(measured, 0.0) | known


def read_task_set(path: str | os.PathLike[str]) -> TaskSet:
    """Read the tasks of a setup file of OpenSim's inverse kinematics, or of an IKTaskSet of its own.

    Args:
        path: the ``.xml`` file.

    Returns:
        The tasks.

    Raises:
        InputError: the file cannot be read.
        FormatError: no IKTaskSet in it, no marker task, or a weight that is no number.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
    # old files have no common root element
    root = parse_xml(b"<files>" + _DECLARATION.sub(b"", content, count=1) + b"</files>", path)
    tasks = next((part for part in root.iter() if part.tag == "IKTaskSet"), None)
    if tasks is None:
        raise FormatError(path, None, "there is no <IKTaskSet> in this file")
    weights = {str(task.get("name")): _weight(path, task) for task in tasks.iter(_MARKER)}
    if not any(weights.values()):
        hint = f"; its tasks are in {tasks.get('file')!r}: name that file" if tasks.get("file") else ""
        raise FormatError(path, "<IKTaskSet>", f"no {_MARKER} with a weight above 0{hint}")
    pulled = tuple(str(task.get("name")) for task in tasks.iter(_COORDINATE) if _weight(path, task) > 0)
    return TaskSet(weights, pulled)


def _weight(path: str | os.PathLike[str], task: Element) -> float:
    if (task.findtext("apply") or "true").strip() == "false":
        return 0.0
    text = (task.findtext("weight") or "1").split()
    try:
        weight = float(text[0]) if text else 1.0
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise FormatError(path, f"task {str(task.get('name'))[:40]!r}", "its weight must be a number, 0 or larger")
    return weight
