"""How much larger a person's bodies are than the generic model's, and how tall and heavy the person is.

Shared by the two models of a person: the scaled BSM and the twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from ..body.body import Body
from ..option_checks import check_height, check_mass
from ..skeleton import JOINT_NAMES
from ..types import FloatArray
from .library import bsm
from .parts import Triple
from .person import Geometry
from .skin_markers import marker_vertices

_UNIFORM: dict[str, str] = {
    **{f"femur_{s}": f"tibia_{s}" for s in "rl"},
    **{f"tibia_{s}": f"talus_{s}" for s in "rl"},
    **{f"talus_{s}": f"calcn_{s}" for s in "rl"},
    **{f"calcn_{s}": f"toes_{s}" for s in "rl"},
    **{f"toes_{s}": f"toes_{s}" for s in "rl"},
    **{f"scapula_{s}": f"humerus_{s}" for s in "rl"},
    **{f"humerus_{s}": f"ulna_{s}" for s in "rl"},
    **{f"ulna_{s}": f"hand_{s}" for s in "rl"},
    **{f"radius_{s}": f"hand_{s}" for s in "rl"},
    "lumbar_body": "thorax",
}
"""Bodies with one factor for all axes: the length of this body's joint centre from its parent's, over the generic one.
The toes follow the foot, the ulna the radius, as in SKEL."""


def body_factors(geometry: Geometry) -> dict[str, Triple]:
    """Scale of every body of BSM along its x (front), y (up), z (right) axes.

    Limbs: one factor, the ratio of their lengths. Pelvis: front-back, height and breadth of the hips from the pelvis'
    origin. Thorax: its height, the breadth between the scapulae, and the depth that the skin gives. Head and hand: the
    distance from the joint to the top of the head and to the finger tips.

    Returns:
        Body -> (x, y, z), all positive.
    """
    factors: dict[str, Triple] = {}
    for name, child in _UNIFORM.items():
        ratio = float(np.linalg.norm(geometry.offset_m(child)) / np.linalg.norm(geometry.generic_offset_m(child)))
        factors[name] = (ratio, ratio, ratio)
    hips = [np.abs(geometry.offset_m(f"femur_{s}") / geometry.generic_offset_m(f"femur_{s}")) for s in "rl"]
    factors["pelvis"] = _triple((hips[0] + hips[1]) / 2)
    factors["thorax"] = _thorax(geometry, factors["lumbar_body"][1])
    factors["head"] = _towards(geometry, "head", "THD")
    for side in "rl":
        factors[f"hand_{side}"] = _towards(geometry, f"hand_{side}", f"{side.upper()}HME")
    return {name: factors[name] for name in JOINT_NAMES}


def _thorax(geometry: Geometry, height: float) -> Triple:
    right, left = (JOINT_NAMES.index(f"scapula_{s}") for s in "rl")
    breadth = np.linalg.norm(geometry.origins_m[left] - geometry.origins_m[right])
    generic = np.linalg.norm(geometry.generic_origins_m[left] - geometry.generic_origins_m[right])
    scale = np.abs(geometry.rest.bone_scale[JOINT_NAMES.index("thorax")])
    return float(height * scale[0] / scale[1]), height, float(breadth / generic)


def _towards(geometry: Geometry, name: str, marker: str) -> Triple:
    """Factor of a body that ends in the air: how far its skin reaches towards a marker at its end, over the marker."""
    generic = np.array(geometry.generic.markers[marker].position_m)
    length = float(np.linalg.norm(generic))
    j = JOINT_NAMES.index(name)
    mine = np.asarray(geometry.body.data.skin_weights[:, [j]].toarray())[:, 0] > 0.5
    reach = float((geometry.local_skin_m(name)[mine] @ generic).max() / length)
    ratio = reach / length
    return ratio, ratio, ratio


@lru_cache(maxsize=8)
def body_marker_vertices(body: Body) -> Mapping[str, int]:
    """Skin vertex of each BSM marker on a body, found once on its mean shape."""
    mean = Geometry(bsm(), body, np.zeros(10))
    return marker_vertices(mean, body_factors(mean))


def subject_size(
    body: Body, betas: FloatArray, mass_kg: float | None, height_m: float | None
) -> tuple[float, float, str, float]:
    """Stature, mass, where the mass comes from, and the factor on all lengths.

    Raises:
        InputError: a mass or height that no person has.
    """
    own = body.stature_m(betas)
    stature = own if height_m is None else float(height_m)
    check_height(stature, "--height-m" if height_m is not None else "the stature that these betas give")
    factor = stature / own
    if mass_kg is None:
        return stature, body.mass_kg(betas) * factor**3, "skin volume x density", factor
    check_mass(mass_kg)
    return stature, float(mass_kg), "--mass-kg", factor


def _triple(values: FloatArray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
