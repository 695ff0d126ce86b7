"""Generalized forces as ``.sto`` files, with the column names of OpenSim's inverse-dynamics tool."""

from __future__ import annotations

import os

import numpy as np

from ..errors import FormatError
from ..types import GeneralizedForces
from .door import reader
from .repairs import shown
from .table import Table, read_table, refuse_doubtful, refuse_missing, write_table

_TITLE = "Inverse Dynamics Generalized Forces"
_MOMENT, _FORCE = "_moment", "_force"


@reader
def read_sto(path: str | os.PathLike[str]) -> GeneralizedForces:
    """Read generalized forces: columns ``<coordinate>_moment`` (N m) and ``<coordinate>_force`` (N).

    ``table.read_table`` reads any other ``.sto`` file.

    Args:
        path: the file.

    Returns:
        The forces; ``rotational`` is True for moments.

    Raises:
        FormatError: the file breaks the format, or a column is neither a moment nor a force, or has no value.
    """
    table = read_table(path)
    names, rotational = [], []
    for column in table.columns:
        moment = column.endswith(_MOMENT)
        if not moment and not column.endswith(_FORCE):
            raise FormatError(path, f"column {shown(column)!r}", f"a generalized force must end in {_MOMENT} or {_FORCE}")
        names.append(column.removesuffix(_MOMENT) if moment else column.removesuffix(_FORCE))
        rotational.append(moment)
    refuse_doubtful(path, table, table.columns)
    refuse_missing(path, table.columns, table.time_s, table.values)
    return GeneralizedForces(
        time_s=table.time_s,
        coordinates=tuple(names),
        values_si=table.values,
        rotational=np.array(rotational, dtype=np.bool_),
    )


def write_sto(
    path: str | os.PathLike[str], forces: GeneralizedForces, *, title: str = _TITLE, decimals: int = 8, overwrite: bool = True
) -> None:
    """Write generalized forces as OpenSim's inverse-dynamics tool does.

    Args:
        path: the file; appears when it is complete.
        forces: T frames of N generalized forces.
        title: first line of the file.
        decimals: digits behind the point.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the file exists and may not be replaced.
    """
    pairs = zip(forces.coordinates, forces.rotational, strict=True)
    columns = tuple(f"{name}{_MOMENT if moment else _FORCE}" for name, moment in pairs)
    table = Table(title=title, time_s=forces.time_s, columns=columns, values=forces.values_si, in_degrees=False)
    write_table(path, table, decimals=decimals, overwrite=overwrite)
