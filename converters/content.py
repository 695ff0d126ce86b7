"""What a file holds while it is converted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.types import Markers, OsimMotion, SkelMotion

from .animation import Animation


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What the files themselves do not say."""

    model: Path | None = None
    """OpenSim model that coordinates or markers belong to; None: the ``.osim`` of the same name beside them."""
    body: str | None = None
    """Body of a SKEL motion; None: the one that it names."""
    up: str | None = None
    """Axis of a C3D file that points up."""
    unit: str | None = None
    """Unit of a BVH file."""
    rate_hz: float | None = None
    """Frames per second of files that store none."""
    image_size_px: tuple[int, int] | None = None
    """(width, height) of the video that HSMR's demo worked on."""
    person: int = 0
    """Which person of a file with several."""
    trial: str | None = None
    """Which trial of a ``.b3d``."""
    parts: tuple[str, ...] = ("skin",)
    """What a GLB shows of the body: skin, bones."""
    mass_kg: float | None = None
    """For AddBiomechanics."""
    stature_m: float | None = None
    sex: str = "unknown"
    overwrite: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Content:
    """The values of a file; any of them, or several that belong together."""

    name: str
    markers: Markers | None = None
    coordinates: OsimMotion | None = None
    model: OsimDocument | None = None
    skel: SkelMotion | None = None
    bones: Animation | None = None
    lost: tuple[str, ...] = ()
    """What the reader left behind."""
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Mass, stature, sex where the file knows them."""

    @property
    def what(self) -> str:
        """In words, for messages."""
        words = {
            "a SKEL motion": self.skel,
            "coordinates": self.coordinates,
            "a skeleton animation": self.bones,
            "markers": self.markers,
        }
        return " and ".join(name for name, value in words.items() if value is not None)
