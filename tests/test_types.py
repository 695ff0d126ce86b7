"""The types of the pipeline: their fields are checked; their tables have names with units and the values of the arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hsmr_bio.errors import ShapeError
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import GeneralizedForces, Markers, OsimMotion, SkelMotion

TIME_S = np.array([0.0, 0.1, 0.25])
RNG = np.random.default_rng(0)


def check(frame: pd.DataFrame, columns: dict[str, np.ndarray], count: int) -> None:
    """Compare named columns (T,), the number of columns and the index."""
    assert frame.shape == (len(TIME_S), count)
    assert frame.index.name == "time_s"
    np.testing.assert_array_equal(frame.index, TIME_S)
    for name, values in columns.items():
        np.testing.assert_array_equal(frame[name], values, err_msg=name)


def test_a_skel_motion_as_a_table() -> None:
    poses, trans, sd = RNG.normal(size=(3, 46)), RNG.normal(size=(3, 3)), RNG.random((3, 46))
    motion = SkelMotion(
        time_s=TIME_S, poses_rad=poses, trans_m=trans, betas=np.zeros(10), body="b", frame="world", poses_sd_rad=sd
    )
    knee = DOF_NAMES.index("knee_angle_r")
    columns = {"pelvis_tilt_rad": poses[:, 0], "knee_angle_r_rad": poses[:, knee], "trans_x_m": trans[:, 0]}
    check(motion.to_frame(), columns | {"trans_z_m": trans[:, 2]}, 49)
    check(motion.to_frame(sd=True), columns | {"knee_angle_r_sd_rad": sd[:, knee]}, 95)
    check(replace(motion, poses_sd_rad=None).to_frame(sd=True), columns, 49)


def test_an_opensim_motion_as_a_table() -> None:
    values, sd = RNG.normal(size=(3, 2)), RNG.random((3, 2))
    motion = OsimMotion(
        time_s=TIME_S, coordinates=("pelvis_tx", "knee_angle_r"), values_si=values, rotational=np.array([False, True]), sd_si=sd
    )
    columns = {"pelvis_tx_m": values[:, 0], "knee_angle_r_rad": values[:, 1]}
    check(motion.to_frame(), columns, 2)
    check(motion.to_frame(sd=True), columns | {"pelvis_tx_sd_m": sd[:, 0], "knee_angle_r_sd_rad": sd[:, 1]}, 4)


def test_markers_as_a_table_keep_their_gaps() -> None:
    positions = RNG.normal(size=(3, 2, 3))
    positions[1, 1] = np.nan
    frame = Markers(time_s=TIME_S, names=("LHEE", "C7"), positions_m=positions).to_frame()
    check(frame, {"LHEE_x_m": positions[:, 0, 0], "LHEE_z_m": positions[:, 0, 2], "C7_y_m": positions[:, 1, 1]}, 6)


def test_generalized_forces_as_a_table() -> None:
    values = RNG.normal(size=(3, 2))
    forces = GeneralizedForces(
        time_s=TIME_S, coordinates=("pelvis_ty", "knee_angle_r"), values_si=values, rotational=np.array([False, True])
    )
    frame = forces.to_frame()
    check(frame, {"pelvis_ty_force_n": values[:, 0], "knee_angle_r_moment_nm": values[:, 1]}, 2)
    frame.iloc[0, 0] = 7.0
    assert forces.values_si[0, 0] == values[0, 0], "the table is a copy"


@pytest.mark.parametrize("name", ["poses_rad", "betas"])
def test_only_a_field_whose_default_is_none_may_be_none(name: str) -> None:
    values = {"poses_rad": np.zeros((3, 46)), "betas": np.zeros(10), name: None}
    with pytest.raises(ShapeError, match=name):
        SkelMotion(time_s=TIME_S, trans_m=np.zeros((3, 3)), body="b", frame="world", contacts=None, **values)
