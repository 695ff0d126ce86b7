"""All errors of the package, derived from :class:`HsmrBioError`.

HsmrBioError
├── InputError (also ValueError)      an argument or the content of a file is wrong
│   ├── FormatError                   a file breaks the grammar of its format
│   └── ShapeError                    an array has the wrong shape, dtype or a NaN
├── ModelError                        an OpenSim model cannot be used
│   └── UnknownCoordinateError        a coordinate that the model does not have
├── EstimationError                   no person is seen, or the picture does not allow an estimate
├── MissingAssetError (also FileNotFoundError)   a licensed file that the user must provide
└── MissingDependencyError (also ImportError)    an optional package is not installed
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from difflib import get_close_matches
from os import PathLike, fspath
from types import ModuleType

LONGEST = 300
"""Characters of an error message on the command line."""
_LONG_WORD = re.compile(r"(\S{40})\S{11,}(\S{40})")
"""Words of a message that is too long lose their middle; a path keeps the name of its file."""


class HsmrBioError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(HsmrBioError, ValueError):
    """An argument, option or file content that cannot be used."""


class FormatError(InputError):
    """A file that breaks the grammar of its format.

    Args:
        path: the file.
        where: line number (int, one based), key or other place inside the file; None if it is the whole file.
        problem: what is wrong, what was expected, what to do.
    """

    def __init__(self, path: str | PathLike[str], where: int | str | None, problem: str) -> None:
        place = f", line {where}" if isinstance(where, int) else f", {where}" if where else ""
        super().__init__(f"{fspath(path)}{place}: {problem}")
        self.path = fspath(path)
        self.where = where


class ShapeError(InputError):
    """An array with the wrong shape, or with values that are not finite."""


class ModelError(HsmrBioError):
    """An OpenSim model that cannot be used for the requested operation."""


class UnknownCoordinateError(ModelError):
    """A coordinate that the model does not have."""

    def __init__(self, name: str, names: Sequence[str], model: str = "model") -> None:
        near = get_close_matches(name, names, n=3) or list(names[:3])
        super().__init__(
            f"{model!r} has no coordinate {name!r} (it has {len(names)}; closest: {', '.join(near)}). "
            "List them with: hsmr-bio info MODEL.osim"
        )


class EstimationError(HsmrBioError):
    """The images lack what the estimator or the fit needs."""


class MissingAssetError(HsmrBioError, FileNotFoundError):
    """A licensed file that only the user can provide was not found."""


class MissingDependencyError(HsmrBioError, ImportError):
    """A package that this feature needs is not installed."""


def require(name: str, *, feature: str, extra: str | None = None) -> ModuleType:
    """Import a heavy or optional package where it is used.

    Args:
        name: module to import, e.g. ``"opensim"``.
        feature: that needs the package, for the message.
        extra: the extra of this project that installs it; None if it is a normal dependency.

    Returns:
        The module.

    Raises:
        MissingDependencyError: the package is not installed or does not load.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        hint = f"pip install 'hsmr_bio[{extra}]'" if extra else f"pip install {name.split('.', maxsplit=1)[0]}"
        raise MissingDependencyError(f"{feature} needs the package {name!r}: {hint} ({error})") from error


def one_line(text: str, *, longest: int = LONGEST) -> str:
    """Write a message as one printable line of bounded length.

    Args:
        text: the message, perhaps with values from a damaged file.
        longest: characters.

    Returns:
        The message without line breaks and control characters. Of a message that is too long, first words of more than 90
        characters lose their middle, then the end is cut.
    """
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    if len(line) > longest:
        line = _LONG_WORD.sub(r"\1...\2", line)
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
