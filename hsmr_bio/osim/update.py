"""OpenSim reads a model in a process of its own: old files are brought up to date, damaged ones end only that process."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ..errors import FormatError, MissingDependencyError, ModelError
from ..io.xml_file import Element, parse_xml, xml_bytes
from .opensim_child import NOT_INSTALLED

_LONGEST_S = 120.0
"""Time after which the process is ended; the largest public model takes 2 s."""
_SHOWN_CHARACTERS = 150
"""Longest part of OpenSim's message in ours."""
_REMEMBERED = 16
"""Models whose result is kept in memory."""
_FUNCTIONS = ("Function", "Spline", "Constant", "Sine")
"""Ends of the classes of functions, whose numbers OpenSim writes with few digits."""
_OPENSIM_DIGITS = 6
_DETAILS = re.compile(r"std::exception in '[^']*': |\(details: |\s*Thrown at .*$")


@lru_cache(maxsize=_REMEMBERED)
def up_to_date(content: bytes, source: str) -> bytes:
    """Bring a model of OpenSim 3 or older up to date, as OpenSim does when it loads it.

    Args:
        content: bytes of the ``.osim`` file.
        source: its name, for messages.

    Returns:
        The same model as OpenSim 4 writes it.

    Raises:
        FormatError: OpenSim cannot load it.
        MissingDependencyError: OpenSim is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="hsmr_bio_") as folder:
        target = Path(folder) / "new.osim"
        problem = _run(Path(folder), content, "update", str(target))
        if problem is None and target.is_file():
            return _with_all_digits(target.read_bytes(), content, source)
    raise FormatError(source, None, f"OpenSim cannot bring this old model up to date: {problem or 'it wrote nothing'}")


@lru_cache(maxsize=_REMEMBERED)
def refuse_unloadable(content: bytes, source: str) -> None:
    """Check that OpenSim can load a model and build its system, before this process does it.

    Args:
        content: bytes of the ``.osim`` file.
        source: its name, for messages.

    Raises:
        ModelError: OpenSim cannot load it, or ends at it.
        MissingDependencyError: OpenSim is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="hsmr_bio_") as folder:
        problem = _run(Path(folder), content, "try")
    if problem is not None:
        raise ModelError(f"{source}: OpenSim cannot load this model: {problem}")


def _with_all_digits(new: bytes, old: bytes, source: str) -> bytes:
    """Put the numbers of functions back as the old file has them, where OpenSim has written only six digits of them."""
    originals: dict[tuple[str, tuple[str, ...]], set[tuple[float, ...]]] = {}
    for tag, _, values in _function_numbers(parse_xml(old, source)):
        originals.setdefault((tag, _rounded(values)), set()).add(values)
    root = parse_xml(new, source)
    for tag, part, values in _function_numbers(root):
        found = originals.get((tag, _rounded(values)), set())
        if len(found) == 1:
            part.text = " ".join(map(repr, next(iter(found))))
    return xml_bytes(root)


def _function_numbers(root: Element) -> Iterator[tuple[str, Element, tuple[float, ...]]]:
    """Elements of numbers that belong to functions, with their tags."""
    for function in root.iter():
        if isinstance(function.tag, str) and function.tag.endswith(_FUNCTIONS):
            for part in function:
                try:
                    values = tuple(float(word) for word in (part.text or "").split())
                except ValueError:
                    continue
                if values and isinstance(part.tag, str):
                    yield part.tag, part, values


def _rounded(values: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(f"{value:.{_OPENSIM_DIGITS}g}" for value in values)


def _run(folder: Path, content: bytes, *task: str) -> str | None:
    """Run OpenSim on a copy of the model in ``folder``; why it failed, or None."""
    copy = folder / "model.osim"
    copy.write_bytes(content)
    program = [sys.executable, "-P", str(Path(__file__).with_name("opensim_child.py")), task[0], str(copy), *task[1:]]
    try:
        done = subprocess.run(program, cwd=folder, capture_output=True, timeout=_LONGEST_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"it is still not done after {_LONGEST_S:.0f} s"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == NOT_INSTALLED:
        raise MissingDependencyError(f"reading this model needs the package 'opensim': pip install opensim ({lines[-1:]})")
    if done.returncode == 1:
        reason = _DETAILS.sub("", lines[-1] if lines else "no reason given").strip()
        return reason.replace(str(copy), "the file")[:_SHOWN_CHARACTERS].rstrip()
    return None if done.returncode == 0 else f"it crashes at it (exit {done.returncode}); the file is damaged"
