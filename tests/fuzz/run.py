"""Attack the readers with damaged files.

    python tests/fuzz/run.py [--seconds S] [--seed N] [TARGET ...]       random damage; S seconds in all; no target: every one
    python tests/fuzz/run.py --coverage TARGET [--seconds S]             guided by coverage, with atheris (pip install atheris)

A reader must return, or raise an error of this package that names the file, within 5 seconds. What breaks this is written to
``--keep FOLDER``, with the traceback on stderr; the exit code is then 1. docs/validation.md has the figures of long runs.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

LONGEST_S = 5.0
"""A reader that takes longer hangs."""
WORDS = (b"\0", b"\xff", b"-1", b"1e999", b"nan", b"0", b"99999999", b"\xc2\xb2", b"\xed\xa0\x80", b"'", b"]", b"<", b"a" * 70)
"""Pieces that readers stumble over."""
GUIDED_BY = ("hsmr_bio.io", "hsmr_bio.converters", "hsmr_bio.osim", "hsmr_bio.dynamics.load_files", "hsmr_bio.hsmr.checkpoint")
"""Modules whose coverage guides the attack."""


class FaultError(Exception):
    """A reader that broke its promise."""


class Attack:
    """One target in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        from targets import TARGETS

        self.name, self.target = name, TARGETS[name]
        self.path = folder / f"x{self.target.ending}"
        for other, content in (self.target.beside or {}).items():
            seeds = TARGETS["loads_table"].seeds()
            (folder / other).write_bytes(content or seeds[0])

    def __call__(self, content: bytes) -> None:
        """Let the reader read some bytes."""
        from hsmr_bio.errors import HsmrBioError

        self.path.write_bytes(content)
        began = time.process_time()
        try:
            self.target.read(self.path)
        except HsmrBioError as error:
            if not any(path.name in str(error) for path in self.path.parent.iterdir()):
                raise FaultError(f"{self.name}: an error without the file's name: {error}") from error
        except OSError as error:
            if error.filename is None:
                raise FaultError(f"{self.name}: {type(error).__name__}: {error}") from error
        except Exception as error:
            raise FaultError(f"{self.name}: {type(error).__name__}: {error}") from error
        if time.process_time() - began > LONGEST_S:
            raise FaultError(f"{self.name}: {time.process_time() - began:.1f} s")


def damaged(seed: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to eight places."""
    content = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at = rng.randrange(len(content)) if content else 0
        kind = rng.randrange(7)
        if kind == 0:
            content[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            content[at : at + rng.randrange(40)] = b""
        elif kind == 2:
            content[at:at] = content[at : at + rng.randrange(1, 60)] * rng.randrange(1, 4)
        elif kind == 3:
            word = rng.choice(WORDS)
            content[at : at + rng.choice((0, len(word)))] = word
        elif kind == 4 and content:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 5:
            content[at : at + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\0\0\0\0"))
        elif rng.random() < 0.2:
            content = content[:at]
    return bytes(content)


def random_run(names: list[str], seconds: float, seed: int, keep: Path | None) -> int:
    """Attack each target for its share of the time; the number of faults."""
    faults = 0
    for name in names:
        rng = random.Random(f"{seed} {name}")
        count, worst_s = 0, 0.0
        with tempfile.TemporaryDirectory() as folder:
            attack = Attack(name, Path(folder))
            seeds = attack.target.seeds()
            for whole in seeds:
                attack(whole)
            end = time.monotonic() + seconds / len(names)
            while time.monotonic() < end:
                content = damaged(rng.choice(seeds), rng)
                began = time.monotonic()
                try:
                    attack(content)
                except FaultError:
                    faults += 1
                    traceback.print_exc()
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{name}_{faults}{attack.target.ending}").write_bytes(content)
                worst_s = max(worst_s, time.monotonic() - began)
                count += 1
        sys.stdout.write(f"{name:12} {count:7d} files, longest {worst_s:.2f} s\n")
        sys.stdout.flush()
    sys.stdout.write(f"{faults} faults\n")
    return faults


def coverage_run(name: str, seconds: float, seed: int, keep: Path | None) -> None:
    """Attack one target, guided by coverage; ends the process."""
    import atheris

    folder = Path(tempfile.mkdtemp())
    corpus = folder / "corpus"
    corpus.mkdir()
    with atheris.instrument_imports(include=list(GUIDED_BY)):
        attack = Attack(name, folder)
    for number, whole in enumerate(attack.target.seeds()):
        (corpus / str(number)).write_bytes(whole)
    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
    options += [f"-artifact_prefix={keep}/{name}_"] if keep is not None else []
    atheris.Setup([sys.argv[0], *options, str(corpus)], attack)
    atheris.Fuzz()


def main() -> int:
    """Run; 1 if a reader broke its promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    if args.coverage:
        for name in args.targets:
            coverage_run(name, args.seconds, args.seed, args.keep)
    from targets import TARGETS

    return int(random_run(args.targets or list(TARGETS), args.seconds, args.seed, args.keep) > 0)


if __name__ == "__main__":
    sys.exit(main())
