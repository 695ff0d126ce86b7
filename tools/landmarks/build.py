"""Make the pose networks of the package: ``python tools/landmarks/build.py mediapipe-pose-0.5.1675469404.tgz``.

The archive is the npm package ``@mediapipe/pose`` (Apache License 2.0), as ``npm pack @mediapipe/pose@0.5.1675469404`` gives.
Needs the packages ``onnx`` 1.22.0, ``protobuf`` 4.25 and ``tflite`` 2.18.0. The result is the same bit for bit on every run.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tflite_to_onnx import translate

DATA = Path(__file__).resolve().parents[2] / "hsmr_bio" / "estimators" / "data"
LISTING = "pose_networks.sha256"
ARCHIVE_SHA256 = "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84"
SOURCE = (
    "Converted by hsmr_bio's tools/landmarks/build.py from {file} of the npm package @mediapipe/pose 0.5.1675469404, "
    "(c) The MediaPipe Authors, Apache License 2.0"
)


@dataclass(frozen=True)
class Network:
    """One file of the archive and what is taken from it."""

    file: str
    outputs: dict[str, str]
    """TFLite's name of an output -> ours; the segmentation is left out."""
    scale: float
    offset: float
    """The input is ``scale`` times the 8-bit value plus ``offset`` (MediaPipe's graphs of the two networks)."""


_LANDMARKS = {"Identity": "landmarks", "Identity_1": "person", "Identity_3": "heatmaps", "Identity_4": "world"}
NETWORKS = {
    "pose_detector": Network(
        "pose_solution_packed_assets.data", {"Identity": "boxes", "Identity_1": "scores"}, scale=2 / 255, offset=-1.0
    ),
    "pose_landmarks_full": Network("pose_landmark_full.tflite", _LANDMARKS, scale=1 / 255, offset=0.0),
    "pose_landmarks_heavy": Network("pose_landmark_heavy.tflite", _LANDMARKS, scale=1 / 255, offset=0.0),
}


def build(archive: Path, folder: Path) -> None:
    """Write the networks and the list of their hashes.

    Args:
        archive: the npm package.
        folder: of the results.

    Raises:
        SystemExit: another archive.
    """
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != ARCHIVE_SHA256:
        raise SystemExit(f"{archive}: SHA-256 {found}, expected {ARCHIVE_SHA256} (@mediapipe/pose 0.5.1675469404)")
    lines = []
    with tarfile.open(archive) as members:
        for name, network in NETWORKS.items():
            source = members.extractfile(f"package/{network.file}")
            if source is None:
                raise SystemExit(f"{archive}: no file {network.file}")
            made = translate(source.read(), network.outputs, scale=network.scale, offset=network.offset)
            made.doc_string = SOURCE.format(file=network.file)
            data = made.SerializeToString(deterministic=True)
            (folder / f"{name}.onnx").write_bytes(data)
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}.onnx\n")
    (folder / LISTING).write_text("".join(lines))


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=DATA)
    arguments = parser.parse_args()
    build(arguments.archive, arguments.out)


if __name__ == "__main__":
    main()
