"""A person's model read back from its file: what the file does not say is found from the body and its betas."""

from __future__ import annotations

from typing import Any

import numpy as np

from .body.body import Body
from .checks.measures import bone_lengths_m, place_model
from .errors import InputError
from .osim.document import OsimDocument
from .osim.library import as_document
from .osim.twin import twin_model
from .scaling import scale_model
from .types import OsimMotion, Sex, Subject, readonly

_TWIN_MARK = b"SKEL-exact twin of"
_SAME_LENGTH = 0.01


def subject_of_model(document: OsimDocument, body: Body, betas: Any, *, sex: Sex | None = None) -> Subject:
    """Put a ``.osim`` file and the betas that it was made from together again.

    Args:
        document: a BSM or twin that ``scale_model`` or ``twin_model`` made.
        body: the body that it was made from.
        betas: (10,) of that body.
        sex: as it was made with; by default the body's.

    Returns:
        The subject, with the file's own bytes and mass, and the stature that its bones say.

    Raises:
        InputError: the model's limbs have other proportions than the betas give: it was made from other betas.
        ModelError: a model of another kind, which cannot be evaluated.
    """
    values = readonly("betas", betas, (10,))
    content = document.to_bytes()
    twin = _TWIN_MARK in content
    made = (twin_model if twin else scale_model)(body, values, sex=sex, name="reference")
    own = _lengths_m(document)
    reference = _lengths_m(as_document(made))
    if set(own) != set(reference):
        raise InputError(
            f"{document.source} has not the bodies of BSM or of a twin (it has {', '.join(list(document.bodies)[:6])} ...)"
        )
    ratios = np.array([own[name] / reference[name] for name in reference])
    factor = float(np.median(ratios))
    if np.abs(ratios / factor - 1).max() > _SAME_LENGTH:
        worst = list(reference)[int(np.argmax(np.abs(ratios / factor - 1)))]
        raise InputError(
            f"{document.source} was not made from these betas of {body.name}: its {worst} is {own[worst]:.3f} m long, "
            f"they give {reference[worst] * factor:.3f} m. Give the _skel.npz that belongs to the model"
        )
    return Subject(
        name=document.name,
        body=body.name,
        betas=values,
        sex=made.sex,
        mass_kg=document.mass_kg,
        stature_m=made.stature_m * factor,
        mass_source="the model",
        scale_factors=made.scale_factors,
        osim_xml=content,
        model="twin" if twin else "bsm",
    )


def _lengths_m(document: OsimDocument) -> dict[str, float]:
    still = OsimMotion(
        time_s=np.zeros(1),
        coordinates=tuple(document.coordinates),
        values_si=document.default_si[None],
        rotational=document.rotational,
    )
    return {name: float(length[0]) for name, length in bone_lengths_m(place_model(still, document)).items()}
