"""What a trial's results depend on, as hashes: input, options, body, version. The same hashes mean the same results."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import MissingAssetError
from ..io.atomic import new_file
from ..version import __version__
from .columns import TrialOptions
from .table import Trial

RESULTS_VERSION = 1
"""Raised when the files of a trial change their meaning while the version of the package stays."""
_NO_MATTER = ("overwrite", "name")
"""Options that change no result: the study sets them."""
_BLOCK_BYTES = 1 << 20
_Json = Any
"""A value of JSON, or a path."""


class Digests:
    """Hashes of files, remembered in a file by path, size, time of change and inode: a file that did not change is not read.

    Args:
        store: the file; it need not exist.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._changed = False
        self._folders: dict[Path, str] = {}
        try:
            self._known: dict[str, list[Any]] = json.loads(store.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """Return the hash of a file, or of a folder's files with their names; ``missing`` if there is none."""
        if path in self._folders:
            return self._folders[path]
        if path.is_dir():
            parts = [(str(one.relative_to(path)), self.of(one)) for one in sorted(path.rglob("*")) if one.is_file()]
            found = self._folders[path] = _digest(json.dumps(parts).encode())
            return found
        try:
            about = path.stat()
        except OSError:
            return "missing"
        facts = [about.st_size, about.st_mtime_ns, about.st_ino]
        key = str(path.absolute())
        known = self._known.get(key)
        if known is None or known[:3] != facts:
            known = self._known[key] = [*facts, _digest_of_file(path)]
            self._changed = True
        return str(known[3])

    def save(self) -> None:
        """Store what was learned."""
        if self._changed:
            with new_file(self._store) as part:
                part.write_text(json.dumps(self._known), encoding="utf-8")
            self._changed = False


def trial_key(trial: Trial, digests: Digests, *, extras: tuple[str, ...]) -> dict[str, str]:
    """Compute what a trial's results depend on.

    Args:
        trial: of the table.
        digests: of files.
        extras: further files that are asked for.

    Returns:
        What -> hash, with ``all`` for everything together.
    """
    plain = {**_plain(asdict(trial.options), digests), "command": trial.command, "extras": list(extras)}
    key = {
        "input": digests.of(trial.source),
        "options": _digest(json.dumps(plain, sort_keys=True).encode()),
        "body": _body(trial.options, digests),
        "version": f"{__version__}.{RESULTS_VERSION}",
    }
    return {**key, "all": _digest(json.dumps([trial.name, key], sort_keys=True).encode())}


def _plain(value: _Json, digests: Digests) -> _Json:
    """Options as JSON values; a file counts with its content, wherever it is."""
    if isinstance(value, dict):
        return {name: _plain(inner, digests) for name, inner in value.items() if name not in _NO_MATTER}
    if isinstance(value, list | tuple):
        return [_plain(inner, digests) for inner in value]
    return digests.of(Path(value)) if isinstance(value, os.PathLike) else value


def _body(options: TrialOptions, digests: Digests) -> str:
    """Hash of the body's files; without a choice those of the open body."""
    source = getattr(options, "body", None) or getattr(getattr(options, "source", None), "body", None) or "open"
    if source == "open":
        return digests.of(Path(__file__).parents[1] / "body" / "data")
    if source != "skel":
        return digests.of(Path(source))
    from ..body.assets import find

    try:
        return digests.of(find("skel", getattr(options, "sex", None) or "neutral"))
    except MissingAssetError:
        return "missing"


def _digest(code: bytes) -> str:
    return hashlib.blake2b(code, digest_size=10).hexdigest()


def _digest_of_file(path: Path) -> str:
    found = hashlib.blake2b(digest_size=10)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()
