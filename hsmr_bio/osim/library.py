"""Loads models: the generic one of the package, and any other as a parsed document."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from os import PathLike
from pathlib import Path

from ..errors import InputError
from ..io.staging import finish
from ..types import Subject
from .document import OsimDocument

Model = OsimDocument | Subject | bytes | str | PathLike[str]
"""Forms in which a model is given: a document, a subject, the bytes of a ``.osim`` file, or its path."""
MODEL_TYPES = (OsimDocument, Subject, bytes, str, PathLike)
"""The same forms, for checks of arguments."""


@cache
def bsm() -> OsimDocument:
    """The generic BSM model: 24 bodies, 49 coordinates, 105 markers, 1.70 m, 75.337 kg; no meshes."""
    return OsimDocument.from_bytes(files("hsmr_bio.osim_models").joinpath("bsm.osim").read_bytes(), source="bsm.osim")


def as_document(model: Model) -> OsimDocument:
    """Parse a model given in any form; the same content is parsed once.

    Args:
        model: document (returned as it is), subject, bytes of a ``.osim`` file, or its path.

    Returns:
        The document. Callers share it: it does not change, its edits return new documents.

    Raises:
        InputError: there is no such file.
        FormatError: not XML, not an OpenSim model, or an OpenSim 3 file.
    """
    if isinstance(model, OsimDocument):
        return model
    if isinstance(model, Subject):
        return _parsed(model.osim_xml, f"{model.name}.osim")
    if isinstance(model, bytes):
        return _parsed(model, "model")
    path = Path(model)
    finish(path.parent)
    if not path.is_file():
        raise InputError(f"there is no model file {path}")
    return _parsed(path.read_bytes(), str(path))


@lru_cache(maxsize=8)
def _parsed(content: bytes, source: str) -> OsimDocument:
    """Parse a model's bytes, or return the document of the last few calls with the same bytes and source."""
    return OsimDocument.from_bytes(content, source=source)
