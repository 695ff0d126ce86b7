"""OpenSim's XML files: read without entities, network or document types; names of nested C++ classes survive.

OpenSim 4.6 writes tags such as ``HuntCrossleyForce::ContactParametersSet``. Two colons are no XML name, so they are read as
another word and written as they were.
"""

from __future__ import annotations

import os
import re
from typing import TypeAlias

from lxml import etree

from ..errors import FormatError

Element: TypeAlias = etree._Element
"""An XML element."""
_NESTED = re.compile(rb"(</?[A-Za-z_][\w.-]*(?:::[A-Za-z_][\w.-]*)+)(?=[\s/>])")
_JOINED = re.compile(rb"(</?[A-Za-z_][\w.-]*-\.\.-[\w.-]*)(?=[\s/>])")
_COLONS, _WORD = b"::", b"-..-"
_SHOWN_CHARACTERS = 120
"""Longest part of the parser's message in ours."""


def parse_xml(content: bytes, source: str | os.PathLike[str]) -> Element:
    """Parse the bytes of an XML file.

    Args:
        content: the whole file.
        source: its name, for messages.

    Returns:
        The root element.

    Raises:
        FormatError: not XML, an unknown encoding, or a document type.
    """
    encoding = _encoding(content)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, encoding=encoding)
    try:
        root = etree.fromstring(_NESTED.sub(lambda tag: tag[0].replace(_COLONS, _WORD), content), parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())[:_SHOWN_CHARACTERS]
        raise FormatError(source, None, f"not readable as XML: {reason}") from None
    if root.getroottree().docinfo.doctype:
        raise FormatError(source, None, "it declares a document type (DOCTYPE), which no file of OpenSim does; refused")
    return root


def _encoding(content: bytes) -> str | None:
    """Encoding to read a file in that claims to be UTF-8 and is not: names and comments of old programs; None: as it says."""
    declared = re.match(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*encoding\s*=\s*[\"']([\w.-]+)", content)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or (declared and declared[1].lower() not in (b"utf-8", b"utf8")):
        return None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "iso-8859-1"
    return None


def xml_bytes(root: Element) -> bytes:
    """Write an element as the bytes of a file: inverse of :func:`parse_xml`."""
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return _JOINED.sub(lambda tag: tag[0].replace(_WORD, _COLONS), text) + b"\n"
