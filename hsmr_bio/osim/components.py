"""Paths of a model's components, and where its sockets lead.

A path names every owner from the model down: ``/bodyset/tibia_r/sensor``. A socket holds such a path, or one that starts at the
component that has the socket: ``..`` is its owner, ``knee_offset`` a frame that it owns itself. Two frames may have one name if
their owners differ.

Source:
    OpenSim 4.6, ``Component::traversePathToComponent`` and ``Socket::finalizeConnection``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ModelError
from .parts import Element

Path = tuple[str, ...]
"""Names from the model down; the model itself is ()."""
GROUND = "Ground"
_SHOWN_CHARACTERS = 60
"""Longest part of a name or path in a message."""


class Components:
    """The components of a model by their paths.

    Args:
        model: its ``Model`` element.
    """

    def __init__(self, model: Element) -> None:
        self._path: dict[Element, Path] = {model: ()}
        self._at: dict[Path, Element] = {(): model}
        self._add(model, ())

    def _add(self, owner: Element, path: Path) -> None:
        for part in owner:
            if not isinstance(part.tag, str):
                continue
            step = self._step(part, path)
            below = path if step is None else (*path, step)
            if step is not None:
                self._path[part] = below
                self._at.setdefault(below, part)
            if len(part):
                self._add(part, below)

    @staticmethod
    def _step(part: Element, path: Path) -> str | None:
        """Name of an element in a path; None for a property, which does not appear in it."""
        if not path and part.tag.endswith("Set"):
            return str(part.tag).lower()  # the model's own sets always have these names
        if part.tag == GROUND:
            return GROUND.lower()
        name: str | None = part.get("name")
        return name

    def follow(self, owner: Element, socket: str) -> Element | None:
        """Find the component that a socket names.

        Args:
            owner: the component that has the socket.
            socket: the path in it.

        Returns:
            The component, or None if there is none; ground is the model's element of that name, or a made one.
        """
        steps = [] if socket.startswith("/") else list(self._path.get(owner, ()))
        for name in socket.split("/"):
            if name == "..":
                if not steps:
                    return None
                steps.pop()
            elif name not in ("", "."):
                steps.append(name)
        if steps == [GROUND.lower()] and tuple(steps) not in self._at:
            return owner.makeelement(GROUND, {"name": GROUND.lower()})
        return self._at.get(tuple(steps))

    def everything(self) -> Iterator[Element]:
        """All components, owners first."""
        return iter(self._path)


def name_of(part: Element, where: str) -> str:
    """Name of a component.

    Args:
        part: the component.
        where: file, for the message.

    Returns:
        The name.

    Raises:
        ModelError: it has none, or one with a slash in it, which no path can name.
    """
    name = (part.get("name") or "").strip()
    if not name or "/" in name:
        raise ModelError(f"{where}: a {part.tag} has no name that can be used, got {shown(name)!r}")
    return name


def named(parts: list[Element], name: str) -> Element | None:
    """Find a component by its name.

    Args:
        parts: some components.
        name: the name.

    Returns:
        The first that has it, or None.
    """
    return next((part for part in parts if part.get("name") == name), None)


def shown(text: str) -> str:
    """Shorten a name or path for a message."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
