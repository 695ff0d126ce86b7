"""Writing and reading .mot and .trc files, next to OpenSim's own: python benchmarks/bench_files.py [frames]."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hsmr_bio.io.mot import read_mot, write_mot
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.types import Markers, OsimMotion


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(frames: int) -> None:
    """Measure and print."""
    import opensim

    rng = np.random.default_rng(0)
    names = (*(f"c{i}_angle" for i in range(46)), "pelvis_tx", "pelvis_ty", "pelvis_tz")
    rotational = np.array([name.endswith("angle") for name in names])
    time_s = np.arange(frames) / 60
    motion = OsimMotion(time_s=time_s, coordinates=names, values_si=rng.normal(size=(frames, 49)), rotational=rotational)
    labels = tuple(f"M{i}" for i in range(105))
    markers = Markers(time_s=time_s, names=labels, positions_m=rng.normal(size=(frames, 105, 3)))
    with tempfile.TemporaryDirectory() as folder:
        mot, trc = Path(folder) / "a.mot", Path(folder) / "a.trc"
        write_s = {"mot": timed(lambda: write_mot(mot, motion)), "trc": timed(lambda: write_trc(trc, markers))}
        read_s = {"mot": timed(lambda: read_mot(mot)), "trc": timed(lambda: read_trc(trc))}
        theirs_s = {
            "mot": timed(lambda: opensim.TimeSeriesTable(str(mot))),
            "trc": timed(lambda: opensim.TimeSeriesTableVec3(str(trc))),
        }
    print(f"{frames} frames, 49 coordinates, 105 markers")
    for kind in ("mot", "trc"):
        ratio = theirs_s[kind] / read_s[kind]
        print(f".{kind}: write {write_s[kind]:.2f} s, read {read_s[kind]:.2f} s")
        print(f"      OpenSim reads in {theirs_s[kind]:.2f} s ({ratio:.1f}x)")
    print(f"both written in {sum(write_s.values()):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
