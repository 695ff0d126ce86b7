"""Reads the licensed SKEL 1.1.1 file as the arrays of a body.

The files ``skel_male.pkl`` and ``skel_female.pkl`` are the user's own (https://skel.is.tue.mpg.de, registration and licence);
none of their content is in this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hsmr_bio.errors import FormatError, HsmrBioError, InputError
from hsmr_bio.io.unpickle import load_pickle
from hsmr_bio.types import Sex

from .data_model import BETA_COUNT, JOINT_COUNT, SMPL_SCALE_PAIRS, SMPL_STATURE_VERTICES, BodyData

VERSION = "1.1.1"
SMPL_VERTEX_COUNT = 6890
"""Vertices of SMPL's mesh, which SKEL's skin shares."""
SMPL_DENSITY_KG_M3 = 985.0
"""Mass over skin volume used with SMPL shapes (SMPL-X body measurements)."""

_KEYS = (
    *("skin_template_v", "skin_template_f", "skel_template_v", "skel_template_f", "shapedirs", "posedirs"),
    *("J_regressor_osim", "per_joint_rot", "skin_weights", "skel_weights", "skel_weights_rigid"),
    *("osim_kintree_table", "apose_rel_transfo"),
)


def load_skel_file(path: str | PathLike[str], *, sex: Sex | None = None) -> BodyData:
    """Read a SKEL 1.1.1 pickle without running code from it.

    Args:
        path: ``skel_male.pkl``, ``skel_female.pkl``, or any file of that schema.
        sex: of the body; None reads it from the file's name.

    Returns:
        The body, named ``skel_<sex>@1.1.1``.

    Raises:
        FormatError: no such schema, another version, a key missing or of the wrong shape, damaged, or refused.
    """
    path = Path(path)
    content = read_dict(path, "a SKEL file")
    _check_version(path, content)
    with errors_of(path):
        require_keys(content, _KEYS, f"a SKEL {VERSION} file")
        return _body_data(path, content, sex or sex_of_name(path.name))


def read_dict(path: Path, kind: str) -> dict[str, Any]:
    """Read a pickle that holds a dict.

    Args:
        path: of the file.
        kind: of file, for the message.

    Returns:
        The dict.

    Raises:
        FormatError: it holds something else, or is damaged or refused.
    """
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise FormatError(path, None, f"{kind} holds a dict, this one a {type(content).__name__}")
    return content


def require_keys(content: Mapping[str, object], keys: Iterable[str], kind: str) -> None:
    """Check that a file has all keys.

    Args:
        content: of the file.
        keys: that it must have.
        kind: of file, for the message.

    Raises:
        InputError: keys are missing.
    """
    missing = [key for key in keys if key not in content]
    if missing:
        raise InputError(f"{kind} has the keys {', '.join(missing)} too; they are missing")


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn errors about a file's content into a FormatError that names the file."""
    try:
        yield
    except FormatError:
        raise
    except (HsmrBioError, TypeError, ValueError, IndexError) as error:
        raise FormatError(path, None, str(error)) from error


def sex_of_name(name: str) -> Sex:
    """``"female"`` or ``"male"`` if the file name says so, else ``"neutral"``."""
    lower = name.lower()
    if "female" in lower:
        return "female"
    return "male" if "male" in lower else "neutral"


def _check_version(path: Path, content: dict[Any, Any]) -> None:
    version = content.get("version")
    if version == VERSION:
        return
    if "v_template" in content:
        problem = "this is an SMPL file, not a SKEL one. Give it to the SMPL commands"
    elif version is None:
        problem = f"it states no version; an older SKEL release? Version {VERSION} is expected"
    else:
        problem = f"version {version!r}; version {VERSION} is expected"
    raise FormatError(path, "version", f"{problem} (download it again from https://skel.is.tue.mpg.de)")


def _body_data(path: Path, content: dict[str, Any], sex: Sex) -> BodyData:
    shapedirs = _array(path, content, "shapedirs", 3)
    if shapedirs.shape[-1] < BETA_COUNT:
        raise FormatError(path, "shapedirs", f"{shapedirs.shape[-1]} shape components; at least {BETA_COUNT} are expected")
    skin = _array(path, content, "skin_template_v", 2)
    smpl_mesh = len(skin) == SMPL_VERTEX_COUNT
    posedirs = _array(path, content, "posedirs", 3)
    return BodyData(
        name=f"skel_{sex}@{VERSION}",
        sex=sex,
        skin_template_m=skin,
        skin_faces=_array(path, content, "skin_template_f", 2),
        shapedirs=shapedirs[..., :BETA_COUNT],
        posedirs=posedirs if np.any(posedirs) else None,
        joint_regressor=_matrix(path, content, "J_regressor_osim"),
        per_joint_rot=_array(path, content, "per_joint_rot", 3),
        apose_rel_transfo=_array(path, content, "apose_rel_transfo", 3),
        skin_weights=_matrix(path, content, "skin_weights"),
        bone_template_m=_array(path, content, "skel_template_v", 2),
        bone_faces=_array(path, content, "skel_template_f", 2),
        bone_weights=_matrix(path, content, "skel_weights"),
        bone_weights_rigid=_matrix(path, content, "skel_weights_rigid"),
        parents=_parents(path, _array(path, content, "osim_kintree_table", 2)),
        scale_pairs=SMPL_SCALE_PAIRS if smpl_mesh else (),
        stature_vertices=SMPL_STATURE_VERTICES if smpl_mesh else (int(skin[:, 1].argmax()), int(skin[:, 1].argmin())),
        density_kg_m3=SMPL_DENSITY_KG_M3,
        topology="smpl" if smpl_mesh else "",
        source=f"SKEL {VERSION}, the user's licensed file {path.name}",
    )


def _array(path: Path, content: dict[str, Any], key: str, ndim: int) -> npt.NDArray[Any]:
    value = content[key]
    array = value.toarray() if sparse.issparse(value) else np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim != ndim:
        raise FormatError(path, key, f"expected an array of numbers with {ndim} axes, got {array.dtype} with {array.ndim}")
    return array


def _matrix(path: Path, content: dict[str, Any], key: str) -> npt.NDArray[Any] | sparse.sparray:
    value = content[key]
    return value if sparse.issparse(value) else _array(path, content, key, 2)


def _parents(path: Path, table: npt.NDArray[Any]) -> tuple[int, ...]:
    if table.shape != (2, JOINT_COUNT):
        raise FormatError(path, "osim_kintree_table", f"expected shape (2, {JOINT_COUNT}), got {table.shape}")
    if not np.array_equal(table[1].astype(np.int64), np.arange(JOINT_COUNT)):
        raise FormatError(path, "osim_kintree_table", "its second row must be 0, 1, ... 23")
    return (-1, *(int(parent) for parent in table[0, 1:].astype(np.int64)))
