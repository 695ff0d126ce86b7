"""Options of the import of SMPL files."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Literal, get_args

from hsmr_bio.fitting.smpl.smpl_motion import Axes
from hsmr_bio.option_checks import check_choice, check_height, check_number
from hsmr_bio.types import Sex


@dataclass(frozen=True, kw_only=True)
class SmplImportOptions:
    """How an SMPL file is imported."""

    smpl: str | PathLike[str] | None = None
    """The user's SMPL file or its folder; None: the registered one, if there is one."""
    body: str | PathLike[str] | None = None
    """``open``, ``skel`` or a SKEL file; None: the registered SKEL file if SMPL's is there too, else the open body."""
    sex: Sex | None = None
    """None: what the file says."""
    axes: Axes | Literal["auto"] = "auto"
    rate_hz: float | None = None
    """None: what the file says."""
    height_m: float | None = None
    """Of the person; used on the open body only, SMPL's betas say it otherwise."""
    refine_betas: bool = False

    def __post_init__(self) -> None:
        if self.sex is not None:
            check_choice("sex", self.sex, get_args(Sex))
        check_choice("axes", self.axes, ("auto", *get_args(Axes)))
        check_number("rate_hz", self.rate_hz, "Hz", above=0)
        check_height(self.height_m)
