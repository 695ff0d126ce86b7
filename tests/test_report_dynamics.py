"""The report's part on forces."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsmr_bio.checks.check_motion import check_motion
from hsmr_bio.dynamics import inverse_dynamics
from hsmr_bio.osim.library import bsm
from hsmr_bio.report import ReportInputs
from hsmr_bio.report.dynamics import dynamics_charts, dynamics_section
from hsmr_bio.report.page import report_html, report_json
from hsmr_bio.types import OsimMotion

pytestmark = pytest.mark.opensim


@pytest.fixture(scope="module")
def motion() -> OsimMotion:
    document = bsm()
    names, time_s = tuple(document.coordinates), np.arange(40) / 50
    values = np.tile(document.default_si, (40, 1))
    values[:, names.index("pelvis_ty")] = 0.93
    return OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=document.rotational)


def inputs(motion: OsimMotion, dynamics) -> ReportInputs:
    return ReportInputs(
        name="stand",
        checks=check_motion(motion, bsm()),
        motion=motion,
        ranges_si={},
        joints_m=np.zeros((40, 2, 3)),
        joint_names=("pelvis", "femur_r"),
        bones=((0, 1),),
        dynamics=dynamics,
    )


def test_forces_moments_and_residuals_are_shown(motion) -> None:
    result = inverse_dynamics(motion, bsm(), "estimate")
    page = report_html(inputs(motion, result))
    assert "Forces and moments" in page
    assert "vertical ground force (estimated)" in page
    assert "The ground reaction was not measured" in page
    twin = json.loads(json.dumps(report_json(inputs(motion, result)), allow_nan=False))
    assert twin["dynamics"]["residuals"]["rms_force_bw"] < 0.01
    charts = {chart.title: chart for chart in dynamics_charts(result)}
    assert [curve.side for curve in charts["vertical ground force (estimated), body weights"].curves] == ["r", "l"]
    knee = charts["knee angle moment, N m/kg"].curves[0].values
    np.testing.assert_allclose(knee * result.mass_kg, result.column("knee_angle_r"))
    assert "In 0%" not in page


def test_a_report_without_forces_says_nothing_of_them(motion) -> None:
    page = report_html(inputs(motion, None))
    assert "Forces and moments" not in page
    assert "$dynamics" not in page
    assert report_json(inputs(motion, None))["dynamics"] is None


def test_missing_loads_are_named(motion) -> None:
    assert "No external forces were given" in dynamics_section(inverse_dynamics(motion, bsm()))
