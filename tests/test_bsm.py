"""The shipped model: what the generator writes, and whether a physical person could be like it."""

from __future__ import annotations

from importlib.resources import files
from math import cos, sin

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hsmr_bio.osim.arcs import arc_translation
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.masses import second_moments
from hsmr_bio.osim.nimble_export import arc_length_m, ellipsoid_radii_m, nimble_model, write_nimble_model
from hsmr_bio.osim.polynomial_fit import fit_polynomial
from hsmr_bio.osim_models.generate import generate
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES

FOLDER = files("hsmr_bio.osim_models")


@pytest.fixture(scope="module")
def facts() -> dict:
    return yaml.safe_load((FOLDER / "bsm_facts.yaml").read_text(encoding="utf-8"))


def test_the_generator_writes_the_shipped_bytes(facts: dict) -> None:
    assert generate(facts) == (FOLDER / "bsm.osim").read_bytes()


def test_every_fact_names_a_listed_source(facts: dict) -> None:
    known = set(facts["sources"])
    for table in ("bodies", "coordinates", "joints"):
        for name, fact in facts[table].items():
            words = set(fact["source"].replace(":", " ").replace(",", " ").replace(";", " ").split())
            assert words & known or fact["source"] in ("free root", "as ulna", "as the right"), name
    assert {row[-1] for row in facts["markers"].values()} <= known


def test_it_has_bsms_bodies_coordinates_and_markers() -> None:
    assert bsm().body_order == JOINT_NAMES
    assert set(bsm().coordinates) == {*DOF_NAMES, "pelvis_tx", "pelvis_ty", "pelvis_tz"}
    assert list(bsm().coordinates)[:6] == [f"pelvis_{n}" for n in ("tilt", "list", "rotation", "tx", "ty", "tz")]
    assert len(bsm().markers) == 105
    assert {joint.kind for joint in bsm().joints.values()} == {"CustomJoint", "PinJoint"}


def test_only_translations_are_in_metres() -> None:
    kinds = {name: c.motion for name, c in bsm().coordinates.items()}
    assert [n for n, kind in kinds.items() if kind == "translational"] == ["pelvis_tx", "pelvis_ty", "pelvis_tz"]
    assert "coupled" not in kinds.values(), "a coupled coordinate would not be in degrees in a .mot file"


def test_masses_and_inertias_are_physical() -> None:
    assert bsm().mass_kg == pytest.approx(75.337, abs=1e-9)
    for body in bsm().bodies.values():
        assert body.mass_kg > 0
        assert np.linalg.eigvalsh(second_moments(body.inertia_kg_m2)).min() > 0, body.name


def test_left_is_the_mirror_image_of_right() -> None:
    document = bsm()
    tree, names = document.tree(), list(document.coordinates)
    random = np.random.default_rng(1)
    q = document.default_si + random.uniform(-0.2, 0.2, (20, len(names)))
    swapped = q.copy()
    for name in names:
        i = names.index(name)
        side = name.replace("_r_", "_#_") if "_r_" in name else name[:-2] + "_#" if name.endswith("_r") else ""
        if side:
            j = names.index(side.replace("#", "l"))
            sign = -1.0 if name in ("shoulder_r_x", "shoulder_r_y") else 1.0
            swapped[:, i], swapped[:, j] = sign * q[:, j], sign * q[:, i]
        elif name.endswith(("list", "rotation", "_tz", "bending", "twist")):
            swapped[:, i] = -q[:, i]
    here, there = tree.forward(q).positions_m.numpy(), tree.forward(swapped).positions_m.numpy()
    for j, name in enumerate(tree.bodies):
        other = name[:-1] + {"r": "l", "l": "r"}[name[-1]] if name[-2:] in ("_r", "_l") else name
        mirrored = there[:, tree.bodies.index(other)] * (1, 1, -1)
        assert np.abs(here[:, j] - mirrored).max() < 1e-5, name


def test_ranges_hold_the_default() -> None:
    for c in bsm().coordinates.values():
        assert c.range_si[0] <= c.default_si <= c.range_si[1], c.name
        assert not c.locked


def test_translation_axes_point_along_the_positive_axes() -> None:
    for joint in bsm().tree().joints:
        for axis, _ in joint.translations:
            assert sorted(axis) == [0, 0, 1], joint.name


@pytest.mark.opensim
def test_opensim_loads_it_without_a_warning_and_places_it_alike(opensim_model, tmp_path) -> None:
    document = bsm()
    loaded = opensim_model(document.write(tmp_path / "bsm.osim"))
    assert "warning" not in loaded.log.lower()
    assert loaded.log.count("\n") == 2, loaded.log
    assert loaded.coordinates == list(document.coordinates)
    random = np.random.default_rng(2)
    low, high = document.ranges_si.clip(-3, 3).T
    q = low + (high - low) * random.random((20, len(low)))
    tree = document.tree()
    pose = tree.forward(q)
    for k, row in enumerate(q):
        loaded.place(dict(zip(document.coordinates, row, strict=True)))
        for j, name in enumerate(tree.bodies):
            origin, orientation = loaded.body(name)
            assert np.abs(origin - pose.positions_m[k, j].numpy()).max() < 1e-6
            assert np.abs(orientation - pose.rotations[k, j].numpy()).max() < 1e-6


@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2))
def test_an_arc_ends_in_the_direction_it_was_turned_to(a: float, b: float) -> None:
    """An arc of constant curvature from 0 with start direction y: its chord lies half way between start and end."""
    end = np.array(arc_translation(a, b))
    u = np.array([-sin(b), cos(a) * cos(b), sin(a) * cos(b)])
    chord = end / np.linalg.norm(end)
    theta = np.arccos(np.clip(u[1], -1, 1))
    assert np.dot(chord, u) == pytest.approx(chord[1], abs=1e-9)
    assert np.linalg.norm(end) == pytest.approx(np.sinc(theta / 2 / np.pi), abs=1e-7)


def test_the_fitted_joints_are_the_arcs_and_ellipsoids_of_the_table(facts: dict) -> None:
    joints = {joint.name: joint for joint in bsm().tree().joints}
    for name in ("lumbar", "thoracic_spine", "neck"):
        assert arc_length_m(joints[name]) == pytest.approx(facts["joints"][name]["length"], rel=1e-12)
    radii = facts["joints"]["scapulothoracic"]["radii"]
    assert ellipsoid_radii_m(joints["scapulothoracic_r"]) == pytest.approx(radii, rel=1e-4)
    assert ellipsoid_radii_m(joints["scapulothoracic_l"]) == pytest.approx([-r for r in radii], rel=1e-4)


def test_a_polynomial_is_fitted_exactly_by_its_own_order() -> None:
    got = fit_polynomial(lambda x, y: 2 + 3 * x * y - y**2 + 0.5 * x**3, (-1.0, 2.0), (0.5, 1.5), 3)
    assert got == pytest.approx((2, 0, -1, 0, 0, 3, 0, 0, 0, 0.5), abs=1e-10)


def test_nimblephysics_places_the_exported_model_alike(tmp_path) -> None:
    nimble = pytest.importorskip("nimblephysics")
    document = bsm()
    skeleton = nimble.biomechanics.OpenSimParser.parseOsim(str(write_nimble_model(tmp_path / "n.osim", document))).skeleton
    names = [skeleton.getDofByIndex(i).getName() for i in range(skeleton.getNumDofs())]
    assert names == list(document.coordinates)
    assert skeleton.getMass() == pytest.approx(75.337)
    random = np.random.default_rng(3)
    low, high = document.ranges_si.clip(-3, 3).T
    tree = document.tree()
    for q in low + (high - low) * random.random((20, len(low))):
        for i, value in enumerate(q):
            skeleton.setPosition(i, float(value))  # one number at a time: arrays crash it on numpy 2
        pose = tree.forward(q)
        for j, name in enumerate(tree.bodies):
            theirs = np.array(skeleton.getBodyNode(name).getWorldTransform().matrix())
            assert np.linalg.norm(theirs[:3, 3] - pose.positions_m[j].numpy()) < 2e-5, name
            assert np.abs(theirs[:3, :3] - pose.rotations[j].numpy()).max() < 1e-6, name


def test_only_bsm_is_exported_for_nimblephysics() -> None:
    from hsmr_bio.errors import ModelError
    from hsmr_bio.osim.document import OsimDocument

    other = OsimDocument.from_bytes(bsm().to_bytes().replace(b'"neck"', b'"nape"'))
    with pytest.raises(ModelError, match="'neck'"):
        nimble_model(other)
