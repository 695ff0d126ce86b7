"""A person's masses, inertias and factors against published numbers and bodies of point masses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.errors import InputError
from hsmr_bio.osim.factors import body_factors, scale_person
from hsmr_bio.osim.library import as_document, bsm
from hsmr_bio.osim.masses import _scaled_body, second_moments
from hsmr_bio.osim.parts import OsimBody
from hsmr_bio.osim.person import TPose
from hsmr_bio.scaling import scale_model

_NAMES = ("head", "pelvis", "lumbar_body", "femur_r", "tibia_l", "humerus_r", "hand_l")
PERCENT = {
    "male": dict(zip(_NAMES, (6.7, 14.2, 2.9, 12.3, 4.8, 2.4, 0.6), strict=True)),
    "female": dict(zip(_NAMES, (6.7, 14.7, 4.1, 14.6, 4.5, 2.3, 0.5), strict=True)),
}
"""Dumas and Wojtusch 2018; they sum to 100.2 and 100.4."""


@pytest.mark.parametrize(("sex", "total"), [("male", 100.2), ("female", 100.4)])
def test_segments_have_the_masses_of_dumas_and_wojtusch(open_body: Body, sex: str, total: float) -> None:
    bodies = as_document(scale_model(open_body, np.zeros(10), mass_kg=80.0, sex=sex)).bodies
    for name, percent in PERCENT[sex].items():
        assert bodies[name].mass_kg == pytest.approx(80 * percent / total), name
    foot = sum(bodies[f"{part}_r"].mass_kg for part in ("talus", "calcn", "toes"))
    forearm = sum(bodies[f"{part}_l"].mass_kg for part in ("ulna", "radius"))
    thorax = sum(bodies[part].mass_kg for part in ("thorax", "scapula_r", "scapula_l"))
    wanted = (1.2, 1.7, 30.4) if sex == "male" else (1.0, 1.4, 26.3)
    assert (foot, forearm, thorax) == pytest.approx(tuple(80 * percent / total for percent in wanted))


def point_masses(kilograms: np.ndarray, at_m: np.ndarray) -> OsimBody:
    """The body that point masses make: centre, and inertia about it (xx, yy, zz, xy, xz, yz)."""
    com = kilograms @ at_m / kilograms.sum()
    arm = at_m - com
    tensor = np.einsum("p,pij->ij", kilograms, (arm**2).sum(axis=1)[:, None, None] * np.eye(3) - arm[:, :, None] * arm[:, None])
    inertia = (tensor[0, 0], tensor[1, 1], tensor[2, 2], tensor[0, 1], tensor[0, 2], tensor[1, 2])
    return OsimBody("b", float(kilograms.sum()), tuple(com), inertia)


def test_a_body_of_point_masses_is_moved_turned_and_stretched(open_body: Body) -> None:
    """The left shank is moved and turned, the right forearm turned by 9 degrees."""
    rng = np.random.default_rng(0)
    kilograms, at_m, factors = rng.uniform(0.1, 1, 6), rng.normal(size=(6, 3)), (1.2, 0.7, 2.0)
    t_pose = TPose(bsm(), open_body, np.zeros(10))
    for name in ("tibia_l", "ulna_r"):
        shift, turn = t_pose.origin_shift_m(name), t_pose.alignment(name)
        body = replace(point_masses(kilograms, at_m), name=name)
        found = _scaled_body(t_pose, body, factors, 2.5 * kilograms.sum())
        wanted = point_masses(2.5 * kilograms, np.array(factors) * ((at_m - shift) @ turn.T))
        assert found.mass_kg == pytest.approx(wanted.mass_kg)
        assert found.com_m == pytest.approx(wanted.com_m)
        assert found.inertia_kg_m2 == pytest.approx(wanted.inertia_kg_m2)
    one = point_masses(np.array([2.0, 2.0]), np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
    np.testing.assert_allclose(second_moments(one.inertia_kg_m2), np.diag([4.0, 0, 0]), atol=1e-12)


def test_both_sides_of_a_symmetrical_body_grow_alike(open_body: Body) -> None:
    factors = body_factors(TPose(bsm(), open_body, np.array([1.0, -0.5, 0.7, *np.zeros(7)])))
    for name, factor in factors.items():
        if name.endswith("_r"):
            assert factors[f"{name[:-2]}_l"] == pytest.approx(factor, rel=5e-3), name


def test_a_limb_is_as_long_as_its_factor_says(open_body: Body) -> None:
    betas = np.array([1.5, *np.zeros(9)])
    geometry = TPose(bsm(), open_body, betas)
    factors = body_factors(geometry)
    for bone, child in (("femur_r", "tibia_r"), ("tibia_l", "talus_l"), ("humerus_r", "ulna_r")):
        ratio = np.linalg.norm(geometry.offset_m(child)) / np.linalg.norm(geometry.generic_offset_m(child))
        assert factors[bone] == pytest.approx((ratio,) * 3)
    hip, generic = (np.abs(getattr(geometry, f"{kind}offset_m")("femur_r")) for kind in ("", "generic_"))
    assert factors["pelvis"] == pytest.approx(tuple(hip / generic), rel=2e-3)


def size_of(body, betas, mass_kg, height_m):
    """Stature, mass, source of the mass, factor on all lengths."""
    found = scale_person(body, betas, mass_kg, height_m, None)
    return found.stature_m, found.mass_kg, found.mass_source, found.t_pose.length_factor


def test_stature_and_mass_follow_from_height_and_volume(open_body: Body) -> None:
    betas = np.zeros(10)
    own = open_body.stature_m(betas)
    assert size_of(open_body, betas, None, None) == (own, open_body.mass_kg(betas), "skin volume x density", 1.0)
    stature, mass, source, factor = size_of(open_body, betas, None, 0.9 * own)
    assert (stature, factor) == (pytest.approx(0.9 * own), pytest.approx(0.9))
    assert mass == pytest.approx(0.9**3 * open_body.mass_kg(betas)) and source == "skin volume x density"
    assert size_of(open_body, betas, 61.0, 1.7)[1:3] == (61.0, "--mass-kg")
    for wrong in ({"height_m": 0.49}, {"height_m": 2.61}, {"mass_kg": 4.9}, {"mass_kg": 401.0}):
        with pytest.raises(InputError, match="must be between"):
            size_of(open_body, betas, wrong.get("mass_kg"), wrong.get("height_m"))
