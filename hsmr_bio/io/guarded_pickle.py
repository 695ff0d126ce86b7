"""An unpickler that calls only given functions, changes only objects of its own, and takes no more memory than the file."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NoReturn

from .bounds import BoundedStream

_PlainUnpickler: Any = pickle._Unpickler
"""The unpickler written in Python. That in C makes room for as many memo entries as a number in the file says, and cannot be
stopped at an array (joblib's own reader extends this one too)."""
_KEYS = (str, bytes, int, float, complex, type(None))
_MOST_KEY_PARTS = 16
"""Parts of a tuple that is a key."""


class GuardedUnpickler(_PlainUnpickler):  # type: ignore[misc]
    """An unpickler for untrusted files; a subclass says what names mean (``find_class``)."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PlainUnpickler.dispatch)
    buildable: ClassVar[tuple[type, ...]] = (OrderedDict,)
    """Classes whose instances may be given a state; nothing else is changed by a file."""

    def __init__(self, stream: BoundedStream, *, encoding: str = "ASCII") -> None:
        super().__init__(stream, encoding=encoding)

    def load_build(self) -> None:
        """Set the state of an instance of ``buildable``.

        Raises:
            UnpicklingError: the file would change another object, such as a function or a class.
        """
        target = self.stack[-2] if len(self.stack) > 1 else None
        if not isinstance(target, self.buildable):
            raise pickle.UnpicklingError(f"it would change a {type(target).__name__}")
        super().load_build()

    def load_bytearray8(self) -> None:
        """Read bytes that can be changed; their number is checked first."""
        count = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(count)))

    def load_no_buffer(self) -> NoReturn:
        """Refuse buffers outside the file.

        Raises:
            UnpicklingError: always.
        """
        raise pickle.UnpicklingError("it refers to data outside the file")

    def load_setitem(self) -> None:
        """Set an item of a dict, with a plain key."""
        check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        """Set items of a dict, with plain keys."""
        check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        """Make a dict with plain keys."""
        check_keys(self.stack[::2])
        super().load_dict()

    def load_additems(self) -> None:
        """Add plain items to a set."""
        check_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        """Make a set of plain items."""
        check_keys(self.stack)
        super().load_frozenset()

    _OWN: ClassVar[dict[bytes, Callable[..., None]]] = {
        pickle.BUILD: load_build,
        pickle.BYTEARRAY8: load_bytearray8,
        pickle.NEXT_BUFFER: load_no_buffer,
        pickle.READONLY_BUFFER: load_no_buffer,
        pickle.SETITEM: load_setitem,
        pickle.SETITEMS: load_setitems,
        pickle.DICT: load_dict,
        pickle.ADDITEMS: load_additems,
        pickle.FROZENSET: load_frozenset,
    }
    dispatch.update({code[0]: function for code, function in _OWN.items()})


def check_keys(keys: Iterable[object]) -> None:
    """Check that keys are plain: the hash of nested tuples can take forever.

    Args:
        keys: of a dict or a set.

    Raises:
        UnpicklingError: a key is neither text nor a number nor a short tuple of them.
    """
    for key in keys:
        parts = key if isinstance(key, tuple) and len(key) <= _MOST_KEY_PARTS else (key,)
        if not all(isinstance(part, _KEYS) or hasattr(part, "dtype") for part in parts):
            raise pickle.UnpicklingError(f"a key that is a {type(key).__name__}; text or a number is expected")
