"""Checks of options and arguments: a wrong value raises an InputError that names the allowed ones, before any work."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from math import inf, isfinite
from types import NoneType
from typing import SupportsFloat, SupportsIndex, TypeVar

from .errors import InputError

T = TypeVar("T")

STATURE_RANGE_M = (0.5, 2.6)
"""Accepted statures; others are probably in another unit."""
MASS_RANGE_KG = (5.0, 400.0)
"""Accepted masses; others are probably in another unit."""
_LONGEST_NAME = 150
"""Bytes of a name: file systems allow 255, and endings such as those of the bones' meshes come after it."""
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def check_options(kind: type[T], value: object, name: str = "options") -> T:
    """Check the type of an options object.

    Args:
        kind: the dataclass of the options.
        value: of the argument.
        name: of the argument, for the message.

    Returns:
        The options.

    Raises:
        InputError: another type, for example a dict; the message shows the call of the constructor.
    """
    if isinstance(value, kind):
        return value
    given = value.items() if isinstance(value, dict) else ()
    example = ", ".join(f"{key}={item!r}" for key, item in given)
    raise InputError(f"{name} must be {kind.__name__}, got {type(value).__name__}: {kind.__name__}({example})")


def options_or_default(kind: type[T], value: T | None) -> T:
    """Return options, or the defaults for None.

    Args:
        kind: the dataclass of the options.
        value: an object of that class, or None.

    Returns:
        The options.

    Raises:
        InputError: another type, see :func:`check_options`.
    """
    return kind() if value is None else check_options(kind, value)


def check_arguments(call: str, **given: tuple[object, type | tuple[type, ...]]) -> None:
    """Check the types of arguments that are easily swapped.

    Args:
        call: the function with its arguments, for the message.
        given: name of the argument -> its value and the allowed types.

    Raises:
        InputError: another type.
    """
    for name, (value, kinds) in given.items():
        if not isinstance(value, kinds):
            allowed = kinds if isinstance(kinds, tuple) else (kinds,)
            names = " or ".join("None" if kind is NoneType else kind.__name__ for kind in allowed)
            raise InputError(f"{name} must be {names}, got {type(value).__name__}: the arguments are {call}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check that a value is one of the known ones.

    Args:
        name: of the option, for the message.
        value: of the option.
        choices: the known values.

    Raises:
        InputError: an unknown value; the message lists the known ones.
    """
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_number(
    name: str, value: object, unit: str = "", *, low: float = -inf, high: float = inf, above: float | None = None
) -> None:
    """Check that a number is finite and in its range; None is an option that is not given.

    Args:
        name: of the option, for the message.
        value: a number or None.
        unit: for the message.
        low: smallest value allowed.
        high: largest value allowed.
        above: lower bound that is not allowed itself, instead of ``low``.

    Raises:
        InputError: no number, not finite, or outside the range.
    """
    if value is None or _in_range(value, low, high, above):
        return
    least = f"more than {above:g}" if above is not None else f"at least {low:g}" if low > -inf else "a finite number"
    wanted = least if high == inf else f"between {low:g} and {high:g}"
    got = repr(value) if isinstance(value, bool) or not isinstance(value, SupportsFloat) else f"{float(value):g}"
    raise InputError(f"{name} must be {wanted}{f' {unit}' if unit else ''}, got {got}")


def _in_range(value: object, low: float, high: float, above: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return False
    number = float(value)
    return isfinite(number) and low <= number <= high and (above is None or number > above)


def check_image_size(size: object) -> None:
    """Check the (width, height) of a picture; None is an unknown size.

    Raises:
        InputError: not two positive whole numbers.
    """
    if size is None:
        return
    if not (isinstance(size, Sequence) and len(size) == 2 and all(_whole(side) and side > 0 for side in size)):
        raise InputError(f"image_size_px (--image-size) must be width and height in whole pixels, got {size!r}")


def _whole(value: object) -> bool:
    """Whether a value is an integer of Python or numpy."""
    return isinstance(value, SupportsIndex) and not isinstance(value, bool)


def check_height(height_m: object, name: str = "--height-m") -> None:
    """Check the stature of a person.

    Args:
        height_m: a number, or None for an unknown stature.
        name: of the option, for the message.

    Raises:
        InputError: outside the range of people, for example in centimetres.
    """
    check_number(name, height_m, "m (metres)", low=STATURE_RANGE_M[0], high=STATURE_RANGE_M[1])


def check_mass(mass_kg: object) -> None:
    """Check the mass of a person in kilograms; None is an unknown mass.

    Raises:
        InputError: outside the range of people.
    """
    check_number("--mass-kg", mass_kg, "kg (kilograms)", low=MASS_RANGE_KG[0], high=MASS_RANGE_KG[1])


def check_cutoff(cutoff_hz: object) -> None:
    """Check the cutoff of a low-pass filter; None is no filter.

    Raises:
        InputError: not a positive frequency.
    """
    check_number("the cutoff (--cutoff-hz)", cutoff_hz, "Hz (or None for no filter)", above=0)


def check_device(device: object) -> None:
    """Check the name of a torch device, and that this machine has it.

    Raises:
        InputError: an unknown name, or a device that this machine does not have.
    """
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise InputError(f"device must be cpu, cuda, cuda:0, mps or xpu, got {device!r}")
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available() or int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise InputError(f"there is no device {device!r} here: {torch.cuda.device_count()} CUDA devices; use cpu")


def check_file_name(name: str) -> str:
    """Check that a name can begin a file name on every operating system.

    Returns:
        The name.

    Raises:
        InputError: empty, with blanks at its ends, or with a separator or another character that a system refuses.
    """
    usable = isinstance(name, str) and name not in ("", ".", "..") and name == name.strip() and name.isprintable()
    if not usable or any(c in name for c in '/\\:*?"<>|') or len(name.encode("utf-8")) > _LONGEST_NAME:
        wanted = f'usable in file names: at most {_LONGEST_NAME} bytes, without / \\ : * ? " < > |'
        raise InputError(f"a name (--name) must be {wanted}, got {name!r}")
    return name


def file_name_of(stem: str) -> str:
    """Return the name of an input as one for files of results: bytes that are not UTF-8 are read as Latin-1.

    Args:
        stem: name of the input without its ending.

    Returns:
        The name; it may still be unusable, see :func:`check_file_name`.
    """
    try:
        stem.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(stem).decode("latin-1")
    return stem
