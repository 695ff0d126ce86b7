"""The documentation: the reference holds every public name; built as ``mkdocs build --strict`` builds it."""

from __future__ import annotations

import inspect
import re
import shutil
from html import unescape
from pathlib import Path

import pytest
import yaml

import hsmr_bio as hb

ROOT = Path(__file__).resolve().parents[1]


def _letters(text: str) -> str:
    """Return the text without roles, spaces and punctuation."""
    return re.sub(r":\w+:(?=`)|\W", "", text)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Public name -> its part of the page, as text."""
    pytest.importorskip("mkdocstrings")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("reference")
    (folder / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "api.md", folder / "docs" / "index.md")
    build(load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(folder / "docs"), site_dir=str(folder / "site"), nav=["index.md"]))
    page = (folder / "site" / "index.html").read_text(encoding="utf-8")
    parts = re.split(r'<h\d id="hsmr_bio\.(\w+)"[^>]*>', page)
    texts = [unescape(re.sub(r"<[^>]+>", "", part)) for part in parts]
    return dict(zip(parts[1::2], texts[2::2], strict=True))


def test_every_public_name_is_in_the_reference_and_nothing_else(reference: dict[str, str]) -> None:
    assert sorted(reference) == sorted(hb.__all__)


def test_every_public_name_says_what_it_is(reference: dict[str, str]) -> None:
    for name in hb.__all__:
        first = (inspect.getdoc(getattr(hb, name)) or "").partition("\n")[0]
        assert first, f"{name} has no docstring"
        assert _letters(first) in _letters(reference[name]), f"the reference of {name} does not begin with its docstring"


def test_every_argument_of_a_public_function_is_explained(reference: dict[str, str]) -> None:
    for name in hb.__all__:
        value = getattr(hb, name)
        names = [] if inspect.isclass(value) else list(inspect.signature(value).parameters)
        explained = reference[name].partition("Parameters:")[2]
        missing = [argument for argument in names if not re.search(rf"^ *{argument}\b", explained, re.MULTILINE)]
        assert len(names) < 2 or not missing, f"the docstring of {name} does not explain {missing} under Args"


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hb.__version__
