"""Restores a subject from its ``.osim`` file, the body and its betas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arrays import readonly
from .body.body import Body
from .checks.measures import bone_lengths_m
from .errors import InputError
from .osim.document import OsimDocument
from .osim.library import as_document
from .osim.placed import place_model
from .osim.twin import twin_model
from .scaling import scale_model
from .types import FloatArray, OsimMotion, Sex, Subject

_TWIN_MARK = b"SKEL-exact twin of"
"""Text in the credits of every twin."""
_SAME_LENGTH = 0.01
"""Largest relative difference of a bone's length from its expected length; chosen."""


def subject_of_model(document: OsimDocument, body: Body, betas: npt.ArrayLike, *, sex: Sex | None = None) -> Subject:
    """Join a ``.osim`` file and the betas that it was made from.

    Args:
        document: a BSM or twin from ``scale_model`` or ``twin_model``.
        body: the body that it was made from.
        betas: (10,) of that body.
        sex: as given to that function; None for the body's.

    Returns:
        The subject, with the file's own bytes and mass, and the stature from the lengths of its bones.

    Raises:
        InputError: the proportions of the model's limbs are not those of the betas.
        ModelError: a model of another kind, which cannot be evaluated.
    """
    values = readonly("betas", betas, (10,))
    content = document.to_bytes()
    twin = _TWIN_MARK in content
    made = (twin_model if twin else scale_model)(body, values, sex=sex, name="reference")
    lengths = _lengths_m(document)
    reference = _lengths_m(as_document(made))
    if set(lengths) != set(reference):
        raise InputError(
            f"{document.source} has not the bodies of BSM or of a twin (it has {', '.join(list(document.bodies)[:6])} ...)"
        )
    ratios = np.array([lengths[name] / reference[name] for name in reference])
    factor = float(np.median(ratios))
    error = np.abs(ratios / factor - 1)
    if error.max() > _SAME_LENGTH:
        worst = list(reference)[int(np.argmax(error))]
        raise InputError(
            f"{document.source} was not made from these betas of {body.name}: its {worst} is {lengths[worst]:.3f} m long, "
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
    no_column: FloatArray = np.zeros((1, 0))
    still = OsimMotion(time_s=np.zeros(1), coordinates=(), values_si=no_column, rotational=np.zeros(0, dtype=np.bool_))
    return {name: float(length[0]) for name, length in bone_lengths_m(place_model(still, document)).items()}
