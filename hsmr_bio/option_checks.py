"""Checks of options and arguments: a wrong value is an InputError before any work, and the error says what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, isfinite
from types import NoneType
from typing import Any, SupportsFloat, TypeVar

from .errors import InputError

T = TypeVar("T")

STATURE_RANGE_M = (0.5, 2.6)
MASS_RANGE_KG = (5.0, 400.0)
"""What is accepted as a person; anything else is taken for a mistake in the unit."""
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def check_options(kind: type[T], value: object, name: str = "options") -> T:
    """Check the type of an options object.

    Args:
        kind: the dataclass of the options.
        value: what the caller gave.
        name: of the argument, for the message.

    Returns:
        The options.

    Raises:
        InputError: another type, for example a dict; the message shows the constructor to call.
    """
    if isinstance(value, kind):
        return value
    given = value.items() if isinstance(value, dict) else ()
    example = ", ".join(f"{key}={word!r}" for key, word in given)
    raise InputError(f"{name} must be {kind.__name__}, got {type(value).__name__}: {kind.__name__}({example})")


def options_or_default(kind: type[T], value: T | None) -> T:
    """Return the options that the caller gave, or the defaults for None; InputError for another type."""
    return kind() if value is None else check_options(kind, value)


def check_arguments(call: str, **given: tuple[object, type | tuple[type, ...]]) -> None:
    """Check the types of arguments that are easily given in another order.

    Args:
        call: how the function is called, for the message.
        given: name of the argument -> what the caller gave, and the types that are allowed.

    Raises:
        InputError: another type.
    """
    for name, (value, kinds) in given.items():
        if not isinstance(value, kinds):
            allowed = kinds if isinstance(kinds, tuple) else (kinds,)
            words = " or ".join("None" if kind is NoneType else kind.__name__ for kind in allowed)
            raise InputError(f"{name} must be {words}, got {type(value).__name__}: the arguments are {call}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check that a word is one of those known.

    Raises:
        InputError: it is not; the message lists them.
    """
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_number(
    name: str, value: Any, unit: str = "", *, low: float = -inf, high: float = inf, above: float | None = None
) -> None:
    """Check that a number is finite and in its range; None is an option that was not given.

    Args:
        name: of the option.
        value: a number or None.
        unit: for the message.
        low: smallest value allowed.
        high: largest value allowed.
        above: bound that itself is not allowed, instead of ``low``.

    Raises:
        InputError: no number, not finite, or outside of the range.
    """
    if value is None or _in_range(value, low, high, above):
        return
    if above is not None or high == inf:
        least = f"more than {above:g}" if above is not None else f"at least {low:g}" if low > -inf else "a finite number"
        wanted = f"{least} and at most {high:g}" if high < inf else least
    else:
        wanted = f"between {low:g} and {high:g}"
    got = repr(value) if isinstance(value, bool) or not isinstance(value, SupportsFloat) else f"{float(value):g}"
    raise InputError(f"{name} must be {wanted}{f' {unit}' if unit else ''}, got {got}")


def _in_range(value: object, low: float, high: float, above: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return False
    number = float(value)
    return isfinite(number) and low <= number <= high and (above is None or number > above)


def check_height(height_m: Any, name: str = "--height-m") -> None:
    """Check the height of a person in metres; None is an unknown height.

    Raises:
        InputError: a height that no person has, for example one in centimetres.
    """
    check_number(name, height_m, "m (metres)", low=STATURE_RANGE_M[0], high=STATURE_RANGE_M[1])


def check_mass(mass_kg: Any) -> None:
    """Check the mass of a person in kilograms; None is an unknown mass.

    Raises:
        InputError: a mass that no person has.
    """
    check_number("--mass-kg", mass_kg, "kg (kilograms)", low=MASS_RANGE_KG[0], high=MASS_RANGE_KG[1])


def check_cutoff(cutoff_hz: Any) -> None:
    """Check the cutoff of a low-pass filter; None is no filter.

    Raises:
        InputError: not a positive frequency.
    """
    check_number("the cutoff (--cutoff-hz)", cutoff_hz, "Hz (or None for no filter)", above=0)


def check_device(device: object) -> None:
    """Check the name of a torch device, and that this machine has it.

    Raises:
        InputError: an unknown name, or a device that is not there.
    """
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise InputError(f"device must be cpu, cuda, cuda:0, mps or xpu, got {device!r}")
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available() or int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise InputError(f"there is no device {device!r} here: {torch.cuda.device_count()} CUDA devices; use cpu")


def check_file_name(name: str) -> str:
    """Check that a name can begin the names of files on every system.

    Returns:
        The name.

    Raises:
        InputError: empty, with a separator or a character that some system refuses, or with blanks at its ends.
    """
    usable = isinstance(name, str) and name not in ("", ".", "..") and name == name.strip() and name.isprintable()
    if not usable or any(c in name for c in '/\\:*?"<>|'):
        raise InputError(f'a name (--name) must be usable in file names, without / \\ : * ? " < > |, got {name!r}')
    return name
