"""Docstrings: what a public function takes, gives and raises is said, and a quantity has its unit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("hsmr_bio", "converters", "osim_models")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions() -> Iterator[tuple[str, Function]]:
    """Functions and methods whose names, classes' names and modules' names have no underscore in front."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            where = path.relative_to(ROOT).with_suffix("").as_posix()
            for node in tree.body:
                holders = [(where, node)] if isinstance(node, Function) else []
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    holders = [(f"{where}:{node.name}", child) for child in node.body if isinstance(child, Function)]
                for place, function in holders:
                    if not function.name.startswith("_"):
                        yield f"{place}.{function.name}", function


def arguments(function: Function) -> list[str]:
    """Names of the arguments, without the first of a method."""
    spec = function.args
    names = [a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    names += [a.arg for a in (spec.vararg, spec.kwarg) if a is not None]
    return [name for name in names if name not in ("self", "cls")]


def section(text: str, title: str) -> str | None:
    """Text of a section of a Google-style docstring, or None."""
    found = re.search(rf"^{title}:\s*\n((?:[ \t]+.*\n|\s*\n)*)", text + "\n", re.MULTILINE)
    return found.group(1) if found else None


def raised(function: Function) -> set[str]:
    """Names of the errors that the function itself raises."""
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            names.add(ast.unparse(node.exc.func).split(".")[-1])
    return {name for name in names if name.endswith("Error") and name[0] != "_"}


def faults(function: Function) -> list[str]:
    """What the docstring lacks."""
    text = ast.get_docstring(function) or ""
    if not text:
        return ["has no docstring"]
    found = []
    told = section(text, "Args")
    names = arguments(function)
    if len(names) > 1 and told is None:
        found.append(f"takes {', '.join(names)} and has no Args")
    if told is not None:
        lacking = [name for name in names if not re.search(rf"^\s*\*{{0,2}}[\w, *]*\b{name}\b[\w, *]*:", told, re.MULTILINE)]
        found += [f"does not explain {', '.join(lacking)}"] if lacking else []
        gives = function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn")
        is_property = any(ast.unparse(d) in ("property", "cached_property", "abstractmethod") for d in function.decorator_list)
        if gives and not is_property and section(text, "Returns") is None and section(text, "Yields") is None:
            found.append("has Args and no Returns")
    lacking_errors = {name for name in raised(function) if name not in text}
    found += [f"raises {', '.join(sorted(lacking_errors))} without saying so"] if lacking_errors else []
    return found


def test_every_public_function_says_what_it_takes_gives_and_raises() -> None:
    found = {name: faults(function) for name, function in public_functions()}
    assert {name: lacks for name, lacks in found.items() if lacks} == {}
