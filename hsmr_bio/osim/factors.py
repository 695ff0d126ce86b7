"""Scale factors, mass properties and markers of a person: what the scaled BSM and the twin share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..arrays import readonly
from ..body.body import Body
from ..option_checks import check_height, check_mass
from ..skeleton import JOINT_NAMES
from ..types import Sex, Subject
from .document import OsimDocument
from .library import bsm
from .masses import scaled_masses
from .parts import OsimBody, OsimMarker, Triple, triple
from .person import TPose
from .skin_markers import marker_vertices, place_markers

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
"""Body with one factor for all axes -> body whose joint centre's distance from its parent's, over the generic distance, is the
factor. The toes follow the foot, the ulna the radius, as in SKEL."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scaled:
    """One person's size and the parts of a model that follow from it."""

    t_pose: TPose
    sex: Sex
    stature_m: float
    mass_kg: float
    mass_source: str
    factors: Mapping[str, Triple]
    """Body -> scale along its x, y, z axes."""
    bodies: Mapping[str, OsimBody]
    markers: list[OsimMarker]

    def subject(self, document: OsimDocument, model: Literal["bsm", "twin"]) -> Subject:
        """Join the person's figures and a model.

        Args:
            document: the person's model.
            model: its kind.

        Returns:
            The subject, named as the model.
        """
        return Subject(
            name=document.name,
            body=self.t_pose.body.name,
            betas=self.t_pose.betas,
            sex=self.sex,
            mass_kg=self.mass_kg,
            stature_m=self.stature_m,
            mass_source=self.mass_source,
            scale_factors=self.factors,
            osim_xml=document.to_bytes(),
            model=model,
        )


def scale_person(body: Body, betas: npt.ArrayLike, mass_kg: float | None, height_m: float | None, sex: Sex | None) -> Scaled:
    """Scale the generic bodies and markers to one person.

    Args:
        body: whose betas are given.
        betas: (10,) shape.
        mass_kg: of the person; None for the volume of the skin times the body's density.
        height_m: of the person, to which all lengths are scaled; None for the shape's own stature.
        sex: whose mass fractions; None for the body's.

    Returns:
        The person's size and parts.

    Raises:
        InputError: a mass or height that no person has.
        ShapeError: betas are not (10,).
    """
    betas = readonly("betas", betas, (10,))
    own_m = body.stature_m(betas)
    stature_m = own_m if height_m is None else float(height_m)
    check_height(stature_m, "--height-m" if height_m is not None else "the stature that these betas give")
    length_factor = stature_m / own_m
    if mass_kg is None:
        mass, source = body.mass_kg(betas) * length_factor**3, "skin volume x density"
    else:
        check_mass(mass_kg)
        mass, source = float(mass_kg), "--mass-kg"
    t_pose, sex = TPose(bsm(), body, betas, length_factor), sex or body.sex
    factors = body_factors(t_pose)
    return Scaled(
        t_pose=t_pose,
        sex=sex,
        stature_m=stature_m,
        mass_kg=mass,
        mass_source=source,
        factors=factors,
        bodies=scaled_masses(t_pose, factors, mass, sex),
        markers=place_markers(t_pose, _marker_vertices(body)),
    )


def body_factors(t_pose: TPose) -> dict[str, Triple]:
    """Scale of every body of BSM along its x (front), y (up), z (right) axes.

    Limbs: the ratio of their lengths, for all axes. Pelvis: depth, height and breadth of the hips from the pelvis' origin.
    Thorax: its height, the breadth between the scapulae, and the depth from the skin. Head and hand: the distance from the
    joint to the top of the head and to the finger tips, for all axes.

    Returns:
        Body -> (x, y, z), all positive.
    """
    factors: dict[str, Triple] = {}
    for name, child in _UNIFORM.items():
        ratio = float(np.linalg.norm(t_pose.offset_m(child)) / np.linalg.norm(t_pose.generic_offset_m(child)))
        factors[name] = (ratio, ratio, ratio)
    hips = [np.abs(t_pose.offset_m(f"femur_{s}") / t_pose.generic_offset_m(f"femur_{s}")) for s in "rl"]
    factors["pelvis"] = triple((hips[0] + hips[1]) / 2)
    factors["thorax"] = _thorax(t_pose, factors["lumbar_body"][1])
    factors["head"] = _reach_factor(t_pose, "head", "THD")
    for side in "rl":
        factors[f"hand_{side}"] = _reach_factor(t_pose, f"hand_{side}", f"{side.upper()}HME")
    return {name: factors[name] for name in JOINT_NAMES}


def _thorax(t_pose: TPose, height: float) -> Triple:
    right, left = (JOINT_NAMES.index(f"scapula_{s}") for s in "rl")
    breadth = np.linalg.norm(t_pose.origins_m[left] - t_pose.origins_m[right])
    generic = np.linalg.norm(t_pose.generic_origins_m[left] - t_pose.generic_origins_m[right])
    scale = np.abs(t_pose.rest.bone_scale[JOINT_NAMES.index("thorax")])
    return float(height * scale[0] / scale[1]), height, float(breadth / generic)


def _reach_factor(t_pose: TPose, name: str, marker: str) -> Triple:
    """Factor of a body without a distal joint: reach of its skin towards a marker at its end, over the marker's distance."""
    generic = np.array(t_pose.generic.markers[marker].position_m)
    length = float(np.linalg.norm(generic))
    ratio = float((t_pose.own_skin_m(name) @ generic).max() / length) / length
    return ratio, ratio, ratio


@lru_cache(maxsize=8)
def _marker_vertices(body: Body) -> Mapping[str, int]:
    """Skin vertex of each BSM marker on a body, found once on its mean shape."""
    mean = TPose(bsm(), body, np.zeros(10))
    return marker_vertices(mean, body_factors(mean))
