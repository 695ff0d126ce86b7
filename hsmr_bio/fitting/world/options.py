"""Options of the ground step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...option_checks import check_number


@dataclass(frozen=True, kw_only=True)
class GroundOptions:
    """What the user knows about the camera and the floor."""

    camera_pitch_rad: float | None = None
    """Known downward pitch of the camera; None: estimated."""
    camera_roll_rad: float | None = None
    """Known roll of the camera, clockwise as it looks; None: estimated."""
    treadmill: bool = False
    """Feet in contact move with a belt: they stay on the floor but are not held."""

    def __post_init__(self) -> None:
        for name, angle_rad, most_deg in (("pitch", self.camera_pitch_rad, 90.0), ("roll", self.camera_roll_rad, 180.0)):
            angle_deg = None if angle_rad is None else float(np.degrees(angle_rad))
            check_number(f"the camera's {name}", angle_deg, "degrees", low=-most_deg, high=most_deg)
