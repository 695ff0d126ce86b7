"""Plant faults in a copy of the package and list those that no test notices.

    python tools/mutation/run.py --sample 60 --seed 1
    python tools/mutation/run.py --sample 20 --only hsmr_bio/fitting --work build/mutation
    python tools/mutation/run.py --again build/mutation/survivors.json

A fault is one small edit of the kinds in ``kinds.py``: a sign, a bound, a constant, an axis, a side, a factor, a unit, a
mask, a condition, a slice. Which ones are planted is drawn with a seed: first a part of the package by its weight, then a
kind, then a place. The copy has the layout of an installed package and stands before it on the path; the tests run from
their own folder.

For each fault the test files run whose imports lead to the file, the nearest first, without the tests marked ``slow``, up to
the first failure or for ``--budget-s`` processor seconds; a fault that no test noticed by then has survived. A test that fails
without any fault counts for nothing. Heavy packages are imported once: each run is a fork of this process. Faults that cannot
change a result stand in ``EQUIVALENT`` with the reason. It is not part of the continuous integration: sixty faults take about
ten minutes of an idle processor.
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
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
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
    "hsmr_bio/skeleton.py": 1,
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
EQUIVALENT: tuple[tuple[str, str, str], ...] = (
    ("body_points.py", r'side in \("left", "right"\) and place in', "every landmark with such a place has a side"),
    ("bvh.py", r"min\(start \+ 8, len\(lines\)\)", "a slice ends with its list"),
    ("tracking.py", r"px\[11:\] -> ", "the median over one landmark more of a rigid figure"),
    ("mapping.py", r"np.where\(np.isnan\(free\).* -> \(widened\)", "a range that is not a number is no range either"),
    ("joint_centres.py", r"q\[:, 46:\] = .* -> pass", "only where the fit starts"),
    ("tree_fit.py", r"damping \* ", "how fast a solver gives a step up"),
    ("scene.py", r"\[1\.5, 1\.5, 2\.0\]", "the first steps of a search"),
    ("markers/solver.py", r"FINE = Tolerance", "when a solver stops"),
    ("check_motion.py", r"len\(steps\) > 1 and", "one step differs from none"),
    ("person_track.py", r"_SPARE_PER_FRAME", "how much work doubtful pictures may cost"),
    ("polynomial_bias.py", r"_STEP_S = ", "the step of a difference quotient"),
    ("tree_fit.py", r"clamp\(-0\.5, 0\.5\)", "how far one step of a solver goes"),
    ("skin_points.py", r"side: \"(arm|leg)_", "which vertices are computed together"),
    ("measures.py", r"np\.clip\(cosine, -1, 1\)", "a cosine beyond one by rounding"),
    ("markers/start.py", r"time_s\[usable\[0\]\]", "which frames a solver starts from"),
    ("foot_outline.py", r"np\.maximum\(position - 1, 0\)", "the last contact is no nearer than the first"),
    ("gravity.py", r"\"rl\" -> 'lr'", "a mean over both sides"),
    ("table.py", r"in data else data", "replacing nothing changes nothing"),
    ("smpl/to_open.py", r"_STEPS = ", "how long a solver goes on"),
    ("skin_problem.py", r"(chunk|coarse_steps): int", "how the work is cut, not what comes out"),
    ("blazepose.py", r"_MAX_SIDE_PX", "the networks see 256 pixels of either"),
)
"""(end of the path, pattern of the fault's text, why no result changes)."""
MOST_FILES = 5


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
        self.files = [path for path in sorted((ROOT / "tests").glob("test_*.py")) if path.stem != "test_architecture"]
        self.distances = {path: self._distances(path) for path in self.files}
        self.output = work / "output.txt"
        self.sound: dict[str, bool] = {}
        """Whether a test passes without a fault."""

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

    def related(self, module: str) -> list[str]:
        """The nearest test files; those named after the module or its folder come first, and those of plain values."""
        *_, room, own = module.split(".")
        near = [path for path in self.files if module in self.distances[path]]
        order = sorted(
            near,
            key=lambda p: (own not in p.stem, room not in p.stem, self.distances[p][module], "_values" not in p.stem, p.name),
        )
        return [str(path) for path in order[:MOST_FILES]]

    def first_failure(self, tests: Sequence[str], budget_s: float) -> str:
        """The first test that fails, or what else ended the run; empty if all pass in the time they are given."""
        child = multiprocessing.get_context("fork").Process(target=self._in_fork, args=(tests, budget_s))
        child.start()
        child.join(10 * budget_s)
        if child.is_alive():
            child.kill()
            child.join()
        if child.exitcode in (0, -signal.SIGXCPU, -signal.SIGKILL):
            return ""
        said = self.output.read_text(errors="replace")
        found = re.search(r"^(?:FAILED|ERROR) (?:[^:]*/)?(test_.*?)(?: - |$)", said, re.MULTILINE)
        return found[1] if found else "the run itself"

    def noticed(self, fault: Callable[[], None], repair: Callable[[], None], module: str, budget_s: float) -> str:
        """The test that notices a fault; tests that fail without it are left out."""
        related = self.related(module)
        for _ in range(5):
            fault()
            try:
                failed = self.first_failure([*related, *self._deselected()], budget_s) if related else ""
            finally:
                repair()
            if failed.startswith("test_") and failed not in self.sound:
                self.sound[failed] = not self.first_failure([str(ROOT / "tests" / failed)], 3 * budget_s)
            if self.sound.get(failed, True):
                return failed
        return ""

    def _deselected(self) -> list[str]:
        """Options that leave out the tests that fail without a fault."""
        return [f"--deselect={ROOT / 'tests' / name}" for name, sound in self.sound.items() if not sound]

    def _in_fork(self, tests: Sequence[str], budget_s: float) -> None:
        os.setsid()  # a test that ends its process group ends this run only
        resource.setrlimit(resource.RLIMIT_CPU, (int(budget_s) + 1, int(budget_s) + 5))
        with self.output.open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(self.site)
        sys.path.insert(0, str(self.site))
        os.environ["PYTHONPATH"] = str(self.site)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-m", "not slow", "--tb=no"]
        code = int(pytest.main([*options, *tests]))
        sys.stdout.flush()
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
    """Plant the fault, run the related tests, take it out again; the test that noticed it, or nothing."""
    inside = fault.path if fault.path.startswith("hsmr_bio") else f"hsmr_bio/{fault.path}"
    target, source = tests.site / inside, (ROOT / fault.path).read_text()

    def write(text: str, age_s: int) -> None:
        target.write_text(text)
        os.utime(target, (now_s + age_s, now_s + age_s))  # no compiled file of another fault is taken for this one

    planted = apply(fault, source)
    try:
        compile(planted, fault.path, "exec")
    except SyntaxError:
        return "the compiler"
    return tests.noticed(lambda: write(planted, 0), lambda: write(source, 1), _module(Path(inside)), budget_s)


def main() -> None:
    """Draw, plant, run, and say what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=60, help="how many faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="paths that begin so")
    parser.add_argument("--again", type=Path, help="plant the survivors of a file again, where their code still stands")
    parser.add_argument("--budget-s", type=float, default=30.0, help="processor seconds of tests per fault")
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
        test = judge(fault, tests, options.budget_s, int(time.time()) - 10 * (len(planted) - i))
        print(f"{i + 1:4} {'killed  ' if test else 'SURVIVED'} {fault}" + (f"  [{test}]" if test else ""), flush=True)
        if not test:
            survivors.append(asdict(fault))
        (options.work / "survivors.json").write_text(json.dumps(survivors, indent=1))
    print(f"{len(survivors)} of {len(planted)} faults survived ({100 * len(survivors) / max(1, len(planted)):.0f} %)")


if __name__ == "__main__":
    main()
