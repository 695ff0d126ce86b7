"""Checks arrays and makes them read-only, for the frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .errors import InputError, ShapeError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def readonly(name: str, value: npt.ArrayLike, shape: tuple[int | None, ...], *, allow_nan: bool = False) -> FloatArray:
    """Copy real numbers to a read-only float64 array of the expected shape.

    Args:
        name: of the field, for the message.
        value: the numbers.
        shape: expected sizes; None fits any size.
        allow_nan: whether NaN, which means "not seen", is a legal value; infinities never are.

    Returns:
        The array.

    Raises:
        ShapeError: wrong shape, not numbers, or not finite.
    """
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} must be an array of numbers: {error}") from None
    fits = array.ndim == len(shape) and all(w is None or w == n for w, n in zip(shape, array.shape, strict=True))
    if not fits:
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise ShapeError(f"{name} must have shape ({expected}), got {array.shape}")
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ShapeError(f"{name} must be finite, but {int(bad.sum())} of {array.size} values are not (first at index {first})")
    array.flags.writeable = False
    return array


def freeze(instance: DataclassInstance, shapes: Mapping[str, tuple[int | None, ...]], *, allow_nan: bool = False) -> None:
    """Replace fields of a frozen dataclass by read-only float64 copies; None stays None where it is the default.

    Args:
        instance: that has the fields.
        shapes: field -> expected sizes; None fits any size.
        allow_nan: as for :func:`readonly`.

    Raises:
        ShapeError: wrong shape, not numbers, or not finite.
    """
    optional = {item.name for item in fields(instance) if item.default is None}
    for name, shape in shapes.items():
        value = getattr(instance, name)
        if value is not None or name not in optional:
            object.__setattr__(instance, name, readonly(name, value, shape, allow_nan=allow_nan))


def increasing_time(time_s: npt.ArrayLike) -> FloatArray:
    """Check a time column: (T,) seconds, at least one row, strictly increasing.

    Raises:
        ShapeError: not a finite column, or empty.
        InputError: a frame is not later than the one before.
    """
    array = readonly("time_s", time_s, (None,))
    if len(array) == 0:
        raise ShapeError("time_s is empty: at least one frame is needed")
    steps = np.diff(array)
    if np.any(steps <= 0):
        frame = int(np.argmax(steps <= 0)) + 1
        raise InputError(
            f"time_s must increase, but frame {frame} ({array[frame]:g} s) is not later than "
            f"frame {frame - 1} ({array[frame - 1]:g} s). Sort the frames and drop repeated ones"
        )
    return array
