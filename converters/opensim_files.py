"""OpenSim's own files as formats: ``.trc``, ``.mot`` and ``.sto``, ``.osim``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.mot import read_mot, write_mot
from hsmr_bio.io.table import read_table
from hsmr_bio.io.trc import read_trc, write_trc

from .content import Content, ConvertOptions, Kind, Written, as_markers, model_of
from .facts import time_facts

_DIGITS = 6
"""Decimals of a column's smallest and largest value."""
_COMMANDS: dict[Kind, str] = {
    "skel": "hsmr-bio skel2mot",
    "markers": "hsmr-bio ik",
    "bones": "a .trc of its joints and hsmr-bio ik",
}
"""How coordinates are computed from other types."""


def from_trc(path: Path, options: ConvertOptions) -> Content:
    """Read markers.

    Args:
        path: the file.
        options: none is used.

    Returns:
        Markers.
    """
    del options
    return Content(name=path.stem, markers=read_trc(path))


def to_trc(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write markers, or joint centres as markers.

    Args:
        path: the file.
        content: see :func:`~hsmr_bio.converters.content.as_markers`.
        options: ``body``, ``overwrite``.

    Returns:
        What the file does not hold.
    """
    markers, lost = as_markers(content, options)
    write_trc(path, markers, overwrite=options.overwrite)
    return Written(lost=lost)


def from_mot(path: Path, options: ConvertOptions) -> Content:
    """Read coordinates, with their model.

    Args:
        path: the file.
        options: ``model``, ``angles``, ``tables``.

    Returns:
        Coordinates, and the model if it is known; with ``tables`` a table that holds no coordinates as it is.
    """
    model = model_of(path, options)
    try:
        return Content(name=path.stem, coordinates=read_mot(path, model, angles=options.angles), model=model)
    except InputError:
        if not options.tables:
            raise
        return Content(name=path.stem, table=read_table(path))


def to_mot(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write coordinates.

    Args:
        path: the file.
        content: with coordinates.
        options: ``overwrite``.

    Returns:
        What the file does not hold.

    Raises:
        InputError: the content has no coordinates, or the file is to be a ``.sto``.
    """
    if content.coordinates is None:
        command = next((text for kind, text in _COMMANDS.items() if kind in content.kinds), "hsmr-bio ik")
        raise InputError(f"{content.name} holds {content.what}; coordinates of an OpenSim model are computed with {command}")
    if path.suffix.lower() == ".sto":
        raise InputError("coordinates are written as .mot; OpenSim reads .sto and .mot alike")
    write_mot(path, content.coordinates, overwrite=options.overwrite)
    notes = ("the model is a file of its own: convert to .osim as well",) if content.own_model else ()
    return Written(lost=("markers",) if content.markers is not None else (), notes=notes)


def table_facts(path: Path) -> dict[str, Any]:
    """Describe a table over time: coordinates, or forces."""
    table = read_table(path)
    unit = {True: "degrees and metres", False: "radians and metres, or forces", None: "not stated"}[table.in_degrees]
    columns = {
        name: {"min": round(float(np.nanmin(column)), _DIGITS), "max": round(float(np.nanmax(column)), _DIGITS)}
        for name, column in zip(table.columns, table.values.T, strict=True)
        if np.isfinite(column).any()
    }
    return {"kind": "table over time", "title": table.title, "units": unit, **time_facts(table.time_s), "columns": columns}


def to_osim(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write the model that a subject file carries.

    Args:
        path: the file.
        content: of a subject file.
        options: ``overwrite``.

    Returns:
        What the file does not hold.

    Raises:
        InputError: the content carries no model.
    """
    if content.model is None or not content.own_model:
        raise InputError(f"{content.name} carries no model; a scaled one is made with hsmr-bio scale")
    with new_file(path, overwrite=options.overwrite) as part:
        content.model.write(part)
    return Written(lost=(content.what,))


def model_facts(path: Path) -> dict[str, Any]:
    """Describe a model: bodies, markers, coordinates with their ranges."""
    from hsmr_bio.osim.library import as_document

    model = as_document(path)
    table = {}
    for name, coordinate in model.coordinates.items():
        factor, unit = (180 / np.pi, "deg") if coordinate.rotational else (1.0, "m")
        low, high = (bound * factor if np.isfinite(bound) else None for bound in coordinate.range_si)
        place = {"default": coordinate.default_si * factor, "joint": coordinate.joint}
        table[name] = {"unit": unit, "low": low, "high": high, **place}
    about = {"name": model.name, "mass_kg": round(model.mass_kg, 3), "bodies": list(model.bodies)}
    return {"kind": "OpenSim model", **about, "markers": len(model.markers), "coordinates": table}
