"""A hook of mkdocs: lists every public name of the package on the page ``api.md``, by the room that defines it."""

import re
import shutil
from importlib import import_module
from pathlib import Path

from mkdocs.plugins import event_priority

import hsmr_bio
from hsmr_bio.analysis.definitions import DEFINITIONS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "build" / "reference" / "hsmr_bio"
"""The package as it is installed, with ``converters`` inside, made of links; mkdocs.yml names the folder above it."""
MARK = "<!-- every public name -->"
PARAMETERS_MARK = "<!-- every parameter -->"


def public_names() -> dict[str, list[str]]:
    """Room, as ``hsmr_bio.io`` -> the public names that it defines, both in alphabetical order."""
    rooms: dict[str, list[str]] = {}
    for name in hsmr_bio.__all__:
        home = getattr(hsmr_bio, name).__module__
        rooms.setdefault(".".join(home.split(".")[:2]), []).append(name)
    return {room: sorted(rooms[room]) for room in sorted(rooms)}


def parameter_table() -> str:
    """Make a table of the parameters that an analysis gives, with unit, definition and source."""
    rows = ["| parameter | unit | definition | source |", "| --- | --- | --- | --- |"]
    return "\n".join([*rows, *(f"| `{n}` | {d.unit} | {d.text} | {d.source} |" for n, d in DEFINITIONS.items())])


@event_priority(100)  # before mkdocstrings looks whether its paths exist
def on_config(config: object) -> None:  # noqa: ARG001
    """Lay the sources out as they are installed, so that every name is found where its module says."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    SOURCES.mkdir(parents=True)
    for source in (*(ROOT / "hsmr_bio").iterdir(), ROOT / "converters", ROOT / "osim_models"):
        (SOURCES / source.name).symlink_to(source)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put a heading and the first line of its description for each room, and a reference for each name, at the mark.

    The parameters of an analysis are listed at a mark of their own.
    """
    markdown = markdown.replace(PARAMETERS_MARK, parameter_table())
    if MARK not in markdown:
        return markdown
    lines = []
    for room, names in public_names().items():
        about = (import_module(room).__doc__ or "").strip().partition("\n")[0]
        lines += [f"## {room.partition('.')[2]}", about, *(f"::: hsmr_bio.{name}" for name in names)]
    return markdown.replace(MARK, "\n\n".join(lines))


def on_page_content(html: str, **_: object) -> str:
    """Drop the roles (``:func:`` and the like) that docstrings put before a name in code."""
    return re.sub(r":[a-z]+:(?=<code>)", "", html)
