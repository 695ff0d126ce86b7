"""Options of the import of SMPL files."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Literal, get_args

from hsmr_bio.fitting.smpl.smpl_motion import Axes
from hsmr_bio.option_checks import check_choice, check_height, check_number
from hsmr_bio.types import SEXES, Sex


@dataclass(frozen=True, kw_only=True)
class SmplImportOptions:
    """Options of the import of an SMPL file."""

    smpl: str | PathLike[str] | None = None
    """The user's SMPL file or its folder; None: the registered one, if any."""
    body: str | PathLike[str] | None = None
    """``open``, ``skel`` or a SKEL file; None: the registered SKEL file if SMPL's exists too, else the open body."""
    sex: Sex | None = None
    """None: as stored."""
    axes: Axes | Literal["auto"] = "auto"
    """Axes of the file's world."""
    rate_hz: float | None = None
    """None: as stored."""
    height_m: float | None = None
    """Stature of the person; used on the open body only, otherwise SMPL's betas determine it."""
    refine_betas: bool = False
    """Whether the betas are fitted too; they always are if SMPL's file and the body are of different sex."""

    def __post_init__(self) -> None:
        if self.sex is not None:
            check_choice("sex", self.sex, SEXES)
        check_choice("axes", self.axes, ("auto", *get_args(Axes)))
        check_number("rate_hz", self.rate_hz, "Hz", above=0)
        check_height(self.height_m)
