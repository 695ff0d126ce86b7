"""The models that come with the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from .document import OsimDocument


@cache
def bsm() -> OsimDocument:
    """The generic BSM model: 24 bodies, 49 coordinates, 105 markers, 1.70 m, 75.337 kg; no meshes."""
    return OsimDocument.from_bytes(files("hsmr_bio.osim_models").joinpath("bsm.osim").read_bytes(), source="bsm.osim")
