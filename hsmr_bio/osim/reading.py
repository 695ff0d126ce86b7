"""Reads the XML of a model; files of OpenSim 3 are brought up to date by OpenSim itself."""

from __future__ import annotations

import logging

from ..errors import FormatError
from ..io.xml_file import parse_xml
from .components import shown
from .parts import Element
from .update import up_to_date

_LOG = logging.getLogger(__name__)
_FIRST_VERSION = 40000
"""``Version`` of OpenSim 4.0; files of its development versions, from 30501 on, are brought up to date like older ones."""
_VERSION_DIGITS = 9


def read_root(content: bytes, source: str) -> Element:
    """Parse a model.

    Args:
        content: bytes of the ``.osim`` file.
        source: its name, for messages.

    Returns:
        The ``OpenSimDocument`` element of an OpenSim 4 model.

    Raises:
        FormatError: not XML, not an OpenSim model, or one that OpenSim cannot bring up to date.
    """
    root = _checked(parse_xml(content, source), source)
    version = _version(root, source)
    if version < _FIRST_VERSION or next(root.iterfind("Model/BodySet/objects/Body/Joint"), None) is not None:
        root = _checked(parse_xml(up_to_date(content, source), source), source)
        _LOG.warning("%s: an OpenSim 3 file (Version %d), brought up to date by OpenSim for this run", source, version)
    model = root.find("Model")
    for part in model:
        if part.get("file"):
            other = f"it is in another file ({shown(part.get('file'))!r}); save the model as one file in OpenSim"
            raise FormatError(source, f"<{shown(str(part.tag))}>", other)
    return root


def _checked(root: Element, source: str) -> Element:
    if root.tag != "OpenSimDocument" or root.find("Model") is None:
        held = shown(str(root.tag))
        raise FormatError(source, None, f"not an OpenSim model: it holds <{held}>, not <OpenSimDocument> with a <Model>")
    return root


def _version(root: Element, source: str) -> int:
    stated = root.get("Version", "0").strip()
    if not (stated.isdecimal() and len(stated) <= _VERSION_DIGITS):
        raise FormatError(source, None, f"its Version must be a number, got {shown(stated)!r}")
    return int(stated)
