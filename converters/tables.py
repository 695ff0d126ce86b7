"""Tables of motions, markers and forces as CSV and Parquet, for statistics programs: a row per frame, units in the names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hsmr_bio.errors import require
from hsmr_bio.io.atomic import new_file

from .content import WORDS, Content, ConvertOptions, Kind, Written, as_markers

if TYPE_CHECKING:
    import pandas as pd

_ORDER: tuple[Kind, ...] = ("table", "coordinates", "skel", "markers", "joints", "bones")
"""What is written of a content that holds several types: the first that is there."""


def to_table(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write the table of a content.

    Args:
        path: ``.csv`` or ``.parquet``.
        content: with coordinates, a SKEL motion, markers, joint centres, bones, or a table as it is.
        options: ``body``, ``overwrite``.

    Returns:
        What the file does not hold.

    Raises:
        InputError: the content has none of these.
        MissingDependencyError: ``.parquet`` without pyarrow.
    """
    kind: Kind = next((kind for kind in _ORDER if kind in content.kinds), "markers")
    frame, lost = table_of(content, kind, options)
    others = tuple(WORDS[other] for other in content.kinds if other != kind)
    parquet = path.suffix.lower() == ".parquet"
    if parquet:
        require("pyarrow", feature="writing .parquet", extra="parquet")
    with new_file(path, overwrite=options.overwrite) as part:
        frame.to_parquet(part) if parquet else frame.to_csv(part, lineterminator="\n")
    return Written(lost=(*others, *lost), notes=(f"{WORDS[kind]}: {frame.shape[1]} columns, {len(frame)} rows",))


def table_of(content: Content, kind: Kind, options: ConvertOptions) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one of the types of a content as a table.

    Args:
        content: any.
        kind: the type.
        options: ``body``.

    Returns:
        A table with the index ``time_s``, and what it does not hold of the type.

    Raises:
        InputError: the content has nothing that makes a table.
    """
    import pandas as pd

    if kind == "table" and content.table is not None:
        table = content.table
        index = pd.Index(np.array(table.time_s), name="time_s")
        angles = {None: "unknown units", True: "angles in degrees", False: "angles in radians"}[table.in_degrees]
        frame = pd.DataFrame(np.array(table.values), columns=list(table.columns), index=index)
        return frame, (f"units of the columns ({angles})",)
    if kind == "coordinates" and content.coordinates is not None:
        return content.coordinates.to_frame(), ("the model",) if content.model is not None else ()
    if kind == "skel" and content.skel is not None:
        return content.skel.to_frame(), ("shape, camera and notes",)
    markers, lost = as_markers(content, options)
    return markers.to_frame(), lost
