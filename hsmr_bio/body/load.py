"""Loads a body: the open one, or the user's licensed file."""

from __future__ import annotations

import re
from functools import cache
from os import PathLike
from pathlib import Path

from hsmr_bio.errors import InputError
from hsmr_bio.option_checks import check_choice
from hsmr_bio.types import SEXES, Sex

from .assets import find
from .body import Body
from .open_body import load_open_body
from .skel_file import load_skel_file


def load_body(source: str | PathLike[str] = "open", sex: Sex = "neutral") -> Body:
    """Load a body.

    Args:
        source: ``"open"``: the shipped open body; ``"skel"``: the user's registered SKEL file (see ``hsmr-bio setup``); or the
            path of such a file, or of a folder with ``skel_female.pkl`` or ``skel_male.pkl``.
        sex: of the open body, or of the SKEL file; the name of a file given by path takes precedence.

    Returns:
        The body.

    Raises:
        InputError: an unknown sex, or a path that does not exist.
        MissingAssetError: no registered SKEL file of that sex.
        FormatError: a file that is not SKEL 1.1.1.
    """
    check_choice("sex", sex, SEXES)
    if source == "open":
        return _open(sex)
    if source == "skel":
        return Body(load_skel_file(find("skel", sex), sex=sex))
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"{path} does not exist. A body is 'open', 'skel', or the path of a SKEL file or its folder")
    return Body(load_skel_file(find("skel", sex, path) if path.is_dir() else path))


def load_named_body(name: str, source: str | PathLike[str] | None = None) -> Body:
    """Load the body that stored betas name.

    Args:
        name: ``"open-neutral@<hash>"`` or ``"skel_male@1.1.1"``.
        source: as for :func:`load_body`; None for the source in the name.

    Returns:
        The body.

    Raises:
        InputError: the name is not a body's, or the body found has another name.
    """
    match = re.fullmatch(r"(open-|skel_)(neutral|female|male)@.+", name)
    if match is None:
        raise InputError(f"no body is named {name!r}; expected open-<sex>@<hash> or skel_<sex>@<version>")
    sex = next(known for known in SEXES if known == match[2])
    body = load_body(source or ("open" if match[1] == "open-" else "skel"), sex)
    if body.name != name:
        raise InputError(f"the betas belong to the body {name}, but the body here is {body.name}; they cannot be mixed")
    return body


@cache
def _open(sex: Sex) -> Body:
    return Body(load_open_body(sex))
