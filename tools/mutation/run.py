"""Plant faults in a copy of the package and list those that no test notices.

    python tools/mutation/run.py --sample 60 --seed 1
    python tools/mutation/run.py --sample 20 --only hsmr_bio/fitting --work build/mutation
    python tools/mutation/run.py --again build/mutation/survivors.json

A fault is one small edit of the kinds in ``kinds.py``: a sign, a bound, a constant, an axis, a side, a factor, a unit, a
mask, a condition, a slice. Which ones are planted is drawn with a seed: first a part of the package by its weight, then a
kind, then a place. The copy has the layout of an installed package and stands before it on the path; the tests run from
their own folder.

For each fault the test files run whose imports lead to the file, the nearest first, as many as fit into ``--budget-s``
processor seconds, without the tests marked ``slow`` and up to the first failure. How long a test file takes is measured once,
without a fault, and kept in the work folder; files that fail then are left out. Heavy packages are imported once: each run is
a fork of this process. Faults that cannot change a result stand in ``EQUIVALENT`` with the reason. It is not part of the
continuous integration: sixty faults take about ten minutes.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from kinds import Fault, apply, faults

for _heavy in ("lxml.etree", "scipy.optimize", "scipy.signal"):
    importlib.import_module(_heavy)
ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = {
    "hsmr_bio/fitting": 8,
    "hsmr_bio/mapping.py": 2,
    "hsmr_bio/scaling.py": 1,
    "hsmr_bio/filtering.py": 1,
    "hsmr_bio/kinematics": 3,
    "hsmr_bio/checks": 3,
    "hsmr_bio/dynamics": 4,
    "hsmr_bio/io": 3,
    "hsmr_bio/body": 3,
    "hsmr_bio/osim": 2,
    "hsmr_bio/estimators": 2,
    "hsmr_bio/hsmr": 2,
    "hsmr_bio/evaluation": 1,
    "converters": 4,
}
"""Parts of the package, and how often a fault is drawn from each."""
EQUIVALENT: tuple[tuple[str, str, str], ...] = ()
"""(end of the path, pattern of the fault's text, why no result changes)."""
MOST_FILES = 5
FAILED, TIMED_OUT, PASSED = "killed", "killed (time)", "SURVIVED"


def sample(count: int, seed: int, only: str) -> list[Fault]:
    """Draw faults: a part by weight, a kind, a place; none twice."""
    parts: dict[str, dict[str, list[Fault]]] = {}
    for part in WEIGHTS:
        kinds: dict[str, list[Fault]] = {}
        target = ROOT / part
        for path in [target] if target.is_file() else sorted(target.rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for fault in faults(name, path.read_text()) if name.startswith(only) else ():
                if not any(name.endswith(end) and re.search(text, str(fault)) for end, text, _ in EQUIVALENT):
                    kinds.setdefault(fault.kind, []).append(fault)
        if kinds:
            parts[part] = kinds
    draw, chosen = random.Random(seed), {}  # noqa: S311
    while len(chosen) < min(count, sum(len(all_) for kinds in parts.values() for all_ in kinds.values())):
        part = draw.choices(list(parts), [WEIGHTS[name] for name in parts])[0]
        fault = draw.choice(parts[part][draw.choice(sorted(parts[part]))])
        chosen[fault] = None
    return list(chosen)


class Tests:
    """The test files: what they import, how long they take."""

    def __init__(self, site: Path, work: Path) -> None:
        self.site = site
        self.modules = {_module(path.relative_to(site)): path for path in site.rglob("*.py")}
        self.imports = {name: self._imports(path, name) for name, path in self.modules.items()}
        self.files = sorted((ROOT / "tests").glob("test_*.py"))
        self.distances = {path: self._distances(path) for path in self.files}
        self.store = work / "times.json"
        self.times_s: dict[str, float] = json.loads(self.store.read_text()) if self.store.is_file() else {}

    def _imports(self, path: Path, name: str = "") -> set[str]:
        """Modules of the package that a file names in its imports, wherever they stand."""
        found = set()
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                origin = ".".join([*base, *([node.module] if node.module else [])])
                found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
        return found & set(self.modules)

    def _distances(self, path: Path) -> dict[str, int]:
        """Steps of import from a test file to each module that it reaches."""
        distance, todo = dict.fromkeys(sorted(self._imports(path)), 1), deque(sorted(self._imports(path)))
        while todo:
            module = todo.popleft()
            for further in sorted(self.imports[module] - set(distance)):
                distance[further] = distance[module] + 1
                todo.append(further)
        return distance

    def time_s(self, path: Path) -> float:
        """Processor seconds of a test file without a fault; infinite if it fails."""
        if path.name not in self.times_s:
            before = os.times()
            outcome = self.run([path], 300)
            spent = os.times().children_user - before.children_user
            self.times_s[path.name] = spent if outcome == PASSED else float("inf")
            self.store.write_text(json.dumps(self.times_s, indent=1, sort_keys=True))
        return self.times_s[path.name]

    def related(self, module: str, budget_s: float) -> list[Path]:
        """The nearest test files that fit into the budget; those named after the module come first."""
        own = module.rpartition(".")[2]
        near = [path for path in self.files if module in self.distances[path]]
        chosen, spent = [], 0.0
        for path in sorted(near, key=lambda p: (own not in p.stem, self.distances[p][module], p.stat().st_size)):
            if len(chosen) < MOST_FILES and spent < budget_s and spent + self.time_s(path) <= budget_s * (1 if chosen else 3):
                chosen.append(path)
                spent += self.time_s(path)
        return chosen

    def run(self, paths: Sequence[Path], limit_s: float) -> str:
        """Whether the tests notice anything, in a fork that has imported nothing of the package yet."""
        child = multiprocessing.get_context("fork").Process(target=self._in_fork, args=(paths, limit_s))
        child.start()
        child.join(20 * limit_s)
        if child.is_alive():
            child.kill()
            child.join()
        return {0: PASSED, 1: FAILED}.get(child.exitcode or 0, TIMED_OUT if (child.exitcode or 0) < 0 else FAILED)

    def _in_fork(self, paths: Sequence[Path], limit_s: float) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 5))
        with (self.store.parent / "output.txt").open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(self.site)
        sys.path.insert(0, str(self.site))
        os.environ["PYTHONPATH"] = str(self.site)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-m", "not slow"]
        code = int(pytest.main([*options, *map(str, paths)]))
        os._exit(0 if code in (0, 5) else 1)  # 5: all of the tests are slow


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def copied(work: Path) -> Path:
    """The package as it is installed, in the work folder."""
    site = work / "site"
    shutil.rmtree(site, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "hsmr_bio", site / "hsmr_bio", ignore=ignore)
    for folder in ("converters", "osim_models"):
        shutil.copytree(ROOT / folder, site / "hsmr_bio" / folder, ignore=ignore)
    return site


def judge(fault: Fault, tests: Tests, budget_s: float, now_s: int) -> str:
    """Plant the fault, run the related tests, take it out again."""
    inside = fault.path if fault.path.startswith("hsmr_bio") else f"hsmr_bio/{fault.path}"
    target, source = tests.site / inside, (ROOT / fault.path).read_text()
    related = tests.related(_module(Path(inside)), budget_s)  # before the fault is there: it may measure
    try:
        planted = apply(fault, source)
        compile(planted, fault.path, "exec")
        target.write_text(planted)
        os.utime(target, (now_s, now_s))  # a time of its own, so that no compiled file of another fault is taken for it
        return tests.run(related, 10 + 3 * sum(map(tests.time_s, related))) if related else PASSED
    finally:
        target.write_text(source)
        os.utime(target, (now_s + 1, now_s + 1))


def main() -> None:
    """Draw, plant, run, and say what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=60, help="how many faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="paths that begin so")
    parser.add_argument("--again", type=Path, help="plant the survivors of a file again, where their code still stands")
    parser.add_argument("--budget-s", type=float, default=25.0, help="processor seconds of tests per fault")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutation")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    tests = Tests(copied(options.work.resolve()), options.work)
    if options.again:
        wanted = {(s["path"], s["kind"], s["old"], s["new"]) for s in json.loads(options.again.read_text())}
        every = [fault for path in sorted({w[0] for w in wanted}) for fault in faults(path, (ROOT / path).read_text())]
        planted = [fault for fault in every if (fault.path, fault.kind, fault.old, fault.new) in wanted]
    else:
        planted = sample(options.sample, options.seed, options.only)
    survivors = []
    for i, fault in enumerate(planted):
        outcome = judge(fault, tests, options.budget_s, int(time.time()) - 10 * (len(planted) - i))
        print(f"{i + 1:4} {outcome:13} {fault}", flush=True)
        if outcome == PASSED:
            survivors.append(asdict(fault))
        (options.work / "survivors.json").write_text(json.dumps(survivors, indent=1))
    print(f"{len(survivors)} of {len(planted)} faults survived ({100 * len(survivors) / max(1, len(planted)):.0f} %)")


if __name__ == "__main__":
    main()
