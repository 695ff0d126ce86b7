"""The shape of the package: who imports whom, size of modules, light import, complete packaging, public names."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest

import hsmr_bio

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "hsmr_bio": ROOT / "hsmr_bio",
    "hsmr_bio.converters": ROOT / "converters",
    "hsmr_bio.osim_models": ROOT / "osim_models",
}
LAYERS = (
    {"arrays", "errors", "option_checks", "skeleton", "types", "version"},
    {"filtering", "kinematics"},
    {"io", "osim", "body", "osim_models"},
    {"scaling", "subjects", "mapping", "checks", "fitting", "hsmr", "dynamics", "analysis"},
    {"converters"},
    {"estimators", "evaluation", "training", "report"},
    {"pipeline"},
    {"study"},
    {"cli", "__main__"},
)
LAYER = {name: level for level, names in enumerate(LAYERS) for name in names}
NEVER_AT_IMPORT = {"opensim", "nimblephysics", "onnxruntime", "av", "cv2", "trimesh", "ezc3d", "pandas", "matplotlib"}
LIGHT = {
    "arrays",
    "errors",
    "option_checks",
    "types",
    "version",
    "skeleton",
    "filtering",
    "hsmr_bio.checks.limits",
    "cli",
    "__main__",
    "",
}
"""Parts and modules that load numpy only."""
HARD_LIMIT_LINES = 500


def modules() -> dict[str, Path]:
    """Module name -> file, as installed."""
    found = {}
    for package, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def parsed(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(module: str, path: Path, *, top_only: bool = False) -> set[str]:
    """Absolute names of everything that a module imports."""
    nodes = parsed(path).body if top_only else list(ast.walk(parsed(path)))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return found


def part(module: str) -> str:
    """First name below the package: the one that has a layer."""
    return module.split(".")[1] if module.startswith("hsmr_bio.") else ""


def test_a_module_imports_only_from_its_layer_and_those_above_it() -> None:
    wrong = []
    for module in MODULES:
        if module == "hsmr_bio":
            continue
        assert part(module) in LAYER, f"{module} has no layer; add it to LAYERS and to docs/architecture.md"
        for name in imports(module, MODULES[module]):
            if LAYER.get(part(name), -1) > LAYER[part(module)]:
                wrong.append(f"{module} (layer {LAYER[part(module)]}) imports {name}")
    assert wrong == []


def package_imports() -> dict[str, set[str]]:
    """Module of the package -> modules of the package that it imports, wherever in the file; packages' own files aside."""
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if module == "hsmr_bio":
            continue
        graph[module] = set()
        for name in imports(module, path):
            target = name if name in MODULES else name.rpartition(".")[0]
            if target in MODULES and target != module:
                graph[module].add(target)
    return graph


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Cycles of a graph, one for each edge that closes one in a depth-first walk."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for target in sorted(graph.get(node, ())):
                walk(target, [*path, node])
            done.add(node)

    for node in sorted(graph):
        walk(node, [])
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert cycles(package_imports()) == []


def test_the_package_does_not_import_itself_from_the_top() -> None:
    wrong = [
        f"{module}: {name}"
        for module, path in MODULES.items()
        for name in imports(module, path)
        if name.rpartition(".")[0] == "hsmr_bio" and name not in MODULES
    ]
    assert wrong == []


ROOMS = {("video", "core"), ("world", "core"), ("world", "video")}
"""Arrows between the rooms of ``fitting``."""


def test_the_rooms_of_fitting_know_only_those_below_them() -> None:
    found = set()
    for module, targets in package_imports().items():
        for target in targets:
            if module.startswith("hsmr_bio.fitting.") and target.startswith("hsmr_bio.fitting."):
                found.add((module.split(".")[2], target.split(".")[2]))
    assert {pair for pair in found if pair[0] != pair[1]} == ROOMS


def test_heavy_packages_are_imported_where_they_are_used() -> None:
    wrong = []
    for module, path in MODULES.items():
        top = {name.split(".")[0] for name in imports(module, path, top_only=True)}
        light = part(module) in LIGHT or module in LIGHT
        wrong += [f"{module}: {name}" for name in top & (NEVER_AT_IMPORT | ({"torch", "scipy", "lxml"} if light else set()))]
    assert wrong == []


def test_a_module_stays_small() -> None:
    sizes = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: size for module, size in sizes.items() if size > HARD_LIMIT_LINES} == {}


def offences(module: str, node: ast.AST) -> list[str]:
    """What rules 9 and 10 and the ban on plain pickle forbid."""
    if isinstance(node, ast.Assert):
        return ["assert"]
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        return ["bare except"]
    if not isinstance(node, ast.Call):
        return []
    called = ast.unparse(node.func)
    guarded = any(keyword.arg in ("pickle_module", "weights_only") for keyword in node.keywords)
    if called in ("pickle.load", "pickle.loads", "torch.load") and not guarded:
        return [called]
    return ["print"] if called == "print" and part(module) != "cli" else []


def test_no_assert_no_bare_except_no_print_no_plain_pickle() -> None:
    found = [
        f"{module}, line {getattr(node, 'lineno', 0)}: {word}"
        for module, path in MODULES.items()
        for node in ast.walk(parsed(path))
        for word in offences(module, node)
    ]
    assert found == []


def test_the_package_list_of_setup_cfg_is_complete() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    assert set(listed) == {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert len(listed) == len(set(listed))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, json, hsmr_bio; json.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "numpy" in loaded
    assert not loaded & {*NEVER_AT_IMPORT, "torch", "scipy", "lxml", "safetensors"}


def test_the_help_of_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, json, hsmr_bio.cli as c; c.build_parser(); json.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {*NEVER_AT_IMPORT, "torch", "scipy"}


def test_the_public_names_are_sorted_and_complete() -> None:
    assert hsmr_bio.__all__ == sorted(hsmr_bio.__all__)
    eager = {name for name in vars(hsmr_bio.types) if name in hsmr_bio.__all__}
    assert set(hsmr_bio.__all__) == set(hsmr_bio._HOME) | eager


@pytest.mark.parametrize("name", hsmr_bio.__all__)
def test_every_public_name_loads_and_says_what_it_is(name: str) -> None:
    value = getattr(hsmr_bio, name)
    assert value.__name__ == name
    assert value.__doc__
    assert value.__module__.startswith("hsmr_bio.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'image2mod'"):
        _ = hsmr_bio.image2mod


def test_the_readmes_commands_are_those_of_ci() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert "hsmr-bio image2mot" in lines[0]
    assert lines[1].endswith("pytest")
    assert "readme_line 1" in (ROOT / ".ci" / "run").read_text()


def test_every_version_is_the_same() -> None:
    assert f'version = "{hsmr_bio.__version__}"' in (ROOT / "pyproject.toml").read_text()


def tracked() -> list[Path]:
    """Text files of the project."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else []
    endings = {".py", ".md", ".toml", ".cfg", ".yml", ".yaml", ".txt", ".html", ".js", ".osim", ""}
    return [ROOT / name for name in names if name and Path(name).suffix in endings and (ROOT / name).is_file()]


def test_no_file_names_a_machine_or_leaves_work_open() -> None:
    paths = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm|root|home|Users|tmp/bash)[./]")
    open_work = re.compile(r"\b(TODO|FIXME|XXX)\b")
    for path in tracked():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            assert not paths.search(line), f"{path}, line {number}: {line.strip()[:80]}"
            assert not open_work.search(line), f"{path}, line {number}: {line.strip()[:80]}"
