"""A model in every frame of a motion: which coordinates count, and where markers are."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.errors import UnknownCoordinateError
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.parts import OsimMarker
from hsmr_bio.osim.placed import place_model
from hsmr_bio.types import OsimMotion


def motion_of(**columns: list[float]) -> OsimMotion:
    values = np.array(list(columns.values())).T
    return OsimMotion(
        time_s=np.arange(len(values)) / 10, coordinates=tuple(columns), values_si=values, rotational=np.zeros(len(columns))
    )


def test_markers_move_with_their_bodies_and_those_in_ground_stay_out() -> None:
    markers = [OsimMarker("floor", "ground", (1.0, 2.0, 3.0)), OsimMarker("pelvis", "pelvis", (0.0, 0.0, 0.0))]
    document = bsm().with_markers(markers)
    placed = place_model(motion_of(pelvis_tz=[0.0, 0.5], pelvis_tx=[0.0, -1.0]), document)
    assert placed.marker_names == ("pelvis",)
    np.testing.assert_allclose(placed.markers_m[1, 0] - placed.markers_m[0, 0], [-1.0, 0.0, 0.5], atol=1e-12)
    np.testing.assert_allclose(placed.markers_m[:, 0], placed.origins("pelvis")[:, 0], atol=1e-12)
    assert placed.markers_m[0, 0, 1] == pytest.approx(document.coordinates["pelvis_ty"].default_si, abs=0.01)


def test_the_placed_model_is_that_of_its_motion() -> None:
    """The last result is kept: another motion or model gets its own."""
    document = bsm()
    first, second = motion_of(pelvis_tx=[0.0, 1.0]), motion_of(pelvis_tx=[2.0, 3.0])
    places = [place_model(motion, model).positions_m[:, 0, 0] for motion in (first, second, first) for model in (document,)]
    np.testing.assert_allclose(places[1] - places[0], 2.0)
    np.testing.assert_array_equal(places[0], places[2])
    lower = document.with_defaults({"pelvis_ty": 0.5})
    assert place_model(first, lower).positions_m[0, 0, 1] < place_model(first, document).positions_m[0, 0, 1]


def test_a_coordinate_that_the_model_lacks_is_named() -> None:
    with pytest.raises(UnknownCoordinateError, match="wing_angle"):
        place_model(motion_of(wing_angle=[0.0]), bsm())


def test_a_long_motion_is_placed_in_parts_that_fit_together() -> None:
    """What is asked for at once, one after the other, and frame by frame is the same; progress reaches the end."""
    document = bsm()
    values = np.linspace(0, 1, 2500)
    motion = motion_of(pelvis_tilt=list(values), knee_angle_r=list(values), pelvis_tx=list(values))
    calls: list[tuple[int, int | None]] = []
    whole = place_model(motion, document)
    whole.place(whole.marker_names[:3], rotations=True, progress=lambda stage, done, total: calls.append((done, total)))
    assert calls[-1] == (2500, 2500) and len(calls) > 1
    place_model.cache_clear()
    later = place_model(motion, document)
    np.testing.assert_array_equal(later.positions_m, whole.positions_m)
    np.testing.assert_array_equal(later.markers_m[:, :3], whole.markers(*whole.marker_names[:3]))
    np.testing.assert_array_equal(later.rotations, whole.rotations)
    for frame in (0, 1024, 2499):
        at = float(values[frame])
        one = place_model(motion_of(pelvis_tilt=[at], knee_angle_r=[at], pelvis_tx=[at]), document)
        np.testing.assert_allclose(one.markers_m[0], later.markers_m[frame], atol=1e-12)
        np.testing.assert_allclose(one.rotations[0], later.rotations[frame], atol=1e-12)
