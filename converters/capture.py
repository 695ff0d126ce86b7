"""What a recording holds beside markers: events, analog channels and force plates, in our axes and units."""

from __future__ import annotations

from dataclasses import dataclass

from hsmr_bio.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class CaptureEvent:
    """A moment with a name."""

    time_s: float
    label: str
    """Such as ``Foot Strike``."""
    context: str = ""
    """``Left``, ``Right`` or ``General``."""
    subject: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class ForcePlate:
    """A plate, and the analog channels that it is made of."""

    kind: int
    """Type of the C3D format: 1 to 4 and more."""
    corners_m: FloatArray
    """(4, 3) in ground axes (y up)."""
    origin_m: FloatArray
    """(3,) of the sensor, in the plate's own axes."""
    channels: tuple[int, ...]
    """Numbers of its analog channels, from 1."""
    calibration: FloatArray | None = None
    """(6, 6) of type 4, in the units of the channels; None: no calibration."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Capture:
    """Events, analog channels and force plates of a recording."""

    events: tuple[CaptureEvent, ...] = ()
    channels: tuple[str, ...] = ()
    """C names of analog channels."""
    units: tuple[str, ...] = ()
    """C units; those of moments belong to positions in millimetres where they name them."""
    values: FloatArray | None = None
    """(N, C) in those units."""
    samples_per_frame: int = 1
    """Analog samples for each frame of the markers."""
    plates: tuple[ForcePlate, ...] = ()

    @property
    def summary(self) -> tuple[str, ...]:
        """What it holds, for the report of a conversion that loses it."""
        counts = {"analog channels": len(self.channels), "force plates": len(self.plates), "events": len(self.events)}
        return tuple(f"{count} {name}" for name, count in counts.items() if count)
