"""The checks of a motion: one row each, in the order of the report."""

from __future__ import annotations

from . import angle_figures, body_figures, file_figures
from .check_row import CheckRow
from .given import Given

CHECKS: tuple[CheckRow[Given], ...] = (
    CheckRow(
        name="joint limits",
        measure=angle_figures.joint_limits,
        warn_above=1,
        fail_above=10,
        unit="deg",
        source="10 deg: smallest tolerance of the limit table of Xia et al. 2025 (HSMR)",
    ),
    CheckRow(
        name="knee and elbow limits",
        measure=angle_figures.paper_limits,
        warn_above=0,
        fail_above=0.01,
        unit="share of frames over 10 deg",
        source="table of Xia et al. 2025 (HSMR)",
    ),
    CheckRow(
        name="jumps",
        measure=angle_figures.jumps,
        warn_above=8,
        fail_above=15,
        unit="deg",
        source="requirement of this project: no step over 15 deg in one frame",
    ),
    CheckRow(
        name="jumps of the root",
        measure=angle_figures.root_jumps,
        warn_above=0.05,
        fail_above=0.15,
        unit="m",
        source="requirement of this project; 0.15 m a frame is 4.5 m/s at 30 Hz",
    ),
    CheckRow(
        name="left/right flips",
        measure=body_figures.flips,
        warn_above=0,
        fail_above=0,
        unit="frames",
        source="sides never swap between two frames",
    ),
    CheckRow(
        name="jitter",
        measure=angle_figures.jitter,
        warn_above=1.5,
        fail_above=4,
        unit="deg",
        source="expert marker IK, unfiltered: walking 0.5, squats 1.1, drop jump 2.3 deg",
    ),
    CheckRow(
        name="foot sliding",
        measure=body_figures.sliding,
        warn_above=0.15,
        fail_above=0.3,
        unit="m/s",
        source="requirement of this project: at most 0.15 m/s",
    ),
    CheckRow(
        name="floor penetration",
        measure=body_figures.penetration,
        warn_above=0.01,
        fail_above=0.03,
        unit="m",
        source="soft tissue under the heel is 0.01 to 0.02 m thick",
    ),
    CheckRow(
        name="vertical tilt",
        measure=body_figures.tilt,
        warn_above=4,
        fail_above=8,
        unit="deg",
        source="requirement of this project: at most 4 deg",
    ),
    CheckRow(
        name="bone lengths",
        measure=body_figures.bones,
        warn_above=6,
        fail_above=12,
        unit="%",
        source="bones are rigid; knee models shift their axis by up to 5 % of the thigh in a squat",
    ),
    CheckRow(
        name="marker error",
        measure=file_figures.marker_error,
        warn_above=0.02,
        fail_above=0.04,
        unit="m RMS",
        source="OpenSim user's guide, inverse kinematics: RMS under 0.02 m, maximum 0.02 to 0.04 m",
    ),
    CheckRow(
        name="map residual",
        measure=file_figures.map_residual,
        warn_above=5,
        fail_above=15,
        unit="mm RMS",
        source="requirement of this project: at most 5 mm over all joints",
    ),
    CheckRow(
        name="map residual, angle",
        measure=file_figures.map_angle_residual,
        warn_above=2,
        fail_above=6,
        unit="deg RMS",
        source="requirement of this project: at most 2 deg",
    ),
    CheckRow(
        name="file consistency",
        measure=file_figures.consistency,
        warn_above=0,
        fail_above=0,
        unit="problems",
        source="OpenSim: every column is a coordinate of the model",
    ),
)
