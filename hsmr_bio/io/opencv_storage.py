"""Numbers and matrices of files that OpenCV's FileStorage wrote, as YAML or XML.

OpenCV's own reader ends the process on damaged files; only the small part of the format that calibrations use is read here.

Source:
    OpenCV documentation, "File Input and Output using XML / YAML / JSON files": ``opencv-matrix`` with rows, cols, dt, data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from lxml import etree

from ..errors import FormatError

_MATRIX = "opencv-matrix"
_MOST_BYTES = 1 << 20
"""A calibration takes a few kilobytes."""


def read_opencv_storage(path: Path) -> dict[str, Any]:
    """Read the numbers and matrices at the top of a file.

    Args:
        path: ``.yml``, ``.yaml`` or ``.xml``.

    Returns:
        By name: a number, or the rows of a matrix.

    Raises:
        FormatError: not such a file, or a matrix whose values do not fill its rows and columns.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise FormatError(path, None, f"a calibration takes a few kilobytes, this file {path.stat().st_size} bytes")
    content = path.read_bytes()
    parts = _xml_parts(path, content) if path.suffix.lower() == ".xml" else _yaml_parts(path, content)
    return {name: _value(path, name, part) for name, part in parts.items()}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Safe loader that knows OpenCV's matrices."""


_Loader.add_constructor(f"tag:yaml.org,2002:{_MATRIX}", lambda loader, node: loader.construct_mapping(node, deep=True))


def _yaml_parts(path: Path, content: bytes) -> dict[str, Any]:
    lines = content.decode("utf-8").splitlines()
    text = "\n".join("" if line.startswith("%") else line for line in lines)  # "%YAML:1.0" is no directive of YAML
    try:
        loaded = yaml.load(text, _Loader)  # noqa: S506, a subclass of the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"not readable as YAML: {getattr(error, 'problem', None) or 'damaged'}"
        raise FormatError(path, mark.line + 1 if mark else None, problem) from None
    if not isinstance(loaded, dict):
        raise FormatError(path, None, "this is not a file written by OpenCV's FileStorage: names and values are expected")
    return {str(name): part for name, part in loaded.items()}


def _xml_parts(path: Path, content: bytes) -> dict[str, Any]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise FormatError(path, None, f"not readable as XML: {error}") from None
    if root.tag != "opencv_storage":
        raise FormatError(path, None, "this is not a file written by OpenCV's FileStorage: <opencv_storage> is expected")
    found: dict[str, Any] = {}
    for part in root.iterchildren(etree.Element):
        inside = {str(child.tag): (child.text or "").strip() for child in part.iterchildren(etree.Element)}
        found[str(part.tag)] = inside if part.get("type_id") == _MATRIX else (part.text or "").strip()
    return found


def _value(path: Path, name: str, part: object) -> object:
    """Return the rows of a matrix; a number or anything else as it is."""
    if not isinstance(part, Mapping) or not {"rows", "cols", "data"} <= set(part):
        return part
    data = part["data"].split() if isinstance(part["data"], str) else part["data"]
    try:
        rows, columns, values = int(part["rows"]), int(part["cols"]), [float(value) for value in data]
    except (TypeError, ValueError):
        raise FormatError(path, name, "the rows, columns and values of a matrix must be numbers") from None
    if rows < 1 or columns < 1 or rows * columns != len(values):
        raise FormatError(path, name, f"a matrix of {rows} x {columns} with {len(values)} values: damaged")
    return [values[row * columns : (row + 1) * columns] for row in range(rows)]
