"""Marker names of capture systems: ``Anna:RASI`` is the subject's name and the marker's."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from ..errors import InputError
from ..types import Markers
from .components import shown

_LOG = logging.getLogger(__name__)
_COLON = ":"


def without_subject(markers: Markers, known: Collection[str]) -> Markers:
    """Leave out the subject's name before a marker's, where only the rest is a marker of the model.

    Args:
        markers: measured.
        known: names of the model's markers.

    Returns:
        The same markers; names that the model has stay as they are.

    Raises:
        InputError: several subjects have a marker of the model.
    """
    found: dict[str, str] = {}
    for name in markers.names:
        short = name.rpartition(_COLON)[2].strip()
        if name in known or short not in known or short in markers.names:
            continue
        if short in found:
            subjects = " and ".join(shown(full.rpartition(_COLON)[0]) for full in (found[short], name))
            raise InputError(f"marker {shown(short)!r} was measured on {subjects}: keep the markers of one subject in the file")
        found[short] = name
    if not found:
        return markers
    _LOG.warning("the subject's name is left out of %d marker names, such as %r", len(found), next(iter(found.values())))
    short_of = {full: short for short, full in found.items()}
    return replace(markers, names=tuple(short_of.get(name, name) for name in markers.names))
