"""The T pose of a person: what the knee's fit is given."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.person import TPose
from hsmr_bio.skeleton import LIMITS_RAD


@pytest.mark.parametrize("side", ["r", "l"])
def test_the_knee_is_fitted_to_fifty_bends_and_the_ankle_it_carries(open_body: Body, side: str) -> None:
    t_pose = TPose(bsm(), open_body, np.zeros(10), 1.1)
    found = t_pose.targets(f"tibia_{side}")
    np.testing.assert_allclose(found.points_m, [t_pose.offset_m(f"talus_{side}")])
    assert (found.origin_sd_m, found.rotation_sd_rad, found.point_sd_m) == pytest.approx((0.0055, 0.03, 0.0165))
    np.testing.assert_allclose(found.origins_m, np.tile(t_pose.offset_m(f"tibia_{side}"), (50, 1)), atol=1e-9)
    bend = Rotation.from_matrix(t_pose.relative(f"tibia_{side}").T @ found.rotations).magnitude()
    most = LIMITS_RAD[6 if side == "r" else 13, 1]
    np.testing.assert_allclose(bend, most * (np.arange(50) + 0.5) / 50, atol=1e-6)
