"""The file formats, a row each: how one is recognised, which of our types it holds, what reads, writes and describes it.

"Adding things" in ``docs/architecture.md`` says how a format is added.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsmr_bio.errors import InputError
from hsmr_bio.io.door import reading

if TYPE_CHECKING:  # the help of the command line reads this table
    from .content import Content, ConvertOptions, Kind, Written

GROUP = "hsmr_bio.formats"
"""Entry point group of formats that other packages bring; each names a :class:`FileFormat`."""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One format."""

    name: str
    endings: tuple[str, ...]
    """In lower case, with the dot."""
    what: str
    """What it is, for the help."""
    holds: tuple[Kind, ...]
    """Our types that a file is read as."""
    recognise: Callable[[bytes, Path], bool] | None = None
    """Whether the first 512 bytes of a file are of this format; None: by the ending. Needed where an ending is shared."""
    folder: Callable[[Path], bool] | None = None
    """Whether a folder holds results of this format; None: its files are read one by one."""
    read: Callable[[Path, ConvertOptions], Content] | None = None
    write: Callable[[Path, Content, ConvertOptions], Written] | None = None
    describe: Callable[[Path], dict[str, Any]] | None = None
    """Facts of a file for ``hsmr-bio info``, as JSON values; None: those of our types, from what is read."""
    lost: tuple[str, ...] = ()
    """What no file of this format holds, an entry each; a writer adds what depends on the content."""
    layouts: tuple[str, ...] = ()
    """Programs whose results are read, where the name does not say it."""
    keeps_capture: bool = False
    """Whether events, analog channels and force plates are written."""
    extra: str | None = None
    """The extra of this project that installs what it needs."""

    @property
    def summary(self) -> str:
        """A line for the help."""
        directions = ", ".join(word for word, used in (("read", self.read), ("written", self.write)) if used)
        extra = f" (extra: {self.extra})" if self.extra else ""
        return f"{self.name:16}{' '.join(self.endings):36}{directions:15}{self.what}{extra}"

    def load(self, path: Path, options: ConvertOptions) -> Content:
        """Read a file of this format.

        Args:
            path: the file.
            options: what the file does not state.

        Returns:
            Its values.

        Raises:
            InputError: files of this format are not read.
        """
        if self.read is None:
            raise InputError(f"{path}: {self.name} files are not read")
        with reading(path, self.name):
            return self.read(path, options)

    def facts(self, path: Path, options: ConvertOptions) -> dict[str, Any]:
        """Describe a file of this format.

        Args:
            path: the file.
            options: what the file does not state.

        Returns:
            JSON values by name.

        Raises:
            InputError: files of this format are neither described nor read.
        """
        if self.describe is None:
            from .facts import content_facts

            return content_facts(self.load(path, options), self.name)
        with reading(path, self.name):
            return self.describe(path)

    def save(self, path: Path, content: Content, options: ConvertOptions) -> Written:
        """Write a file of this format.

        Args:
            path: the file.
            content: its values.
            options: of the conversion.

        Returns:
            What the file does not hold.

        Raises:
            InputError: files of this format are not written.
        """
        if self.write is None:
            raise InputError(f"{path}: {self.name} files are not written")
        return self.write(path, content, options)


def _ours(place: str) -> Any:
    """Return a function of one of our modules that imports the module when it is called."""
    module, _, name = place.partition(":")

    def call(*args: Any) -> Any:
        return getattr(import_module(f"{__package__}.{module}"), name)(*args)

    return call


def _begins(*starts: bytes) -> Callable[[bytes, Path], bool]:
    return lambda head, _: head.lstrip(b"\xef\xbb\xbf").startswith(starts)


def _is_c3d(head: bytes, _: Path) -> bool:
    return head[1:2] == b"\x50" and 0 < head[0] < 128 and b"\0" in head[:24]


FORMATS: tuple[FileFormat, ...] = (
    FileFormat(
        name="OSIM",
        endings=(".osim",),
        what="the model of a subject",
        holds=("model",),
        write=_ours("opensim_files:to_osim"),
        describe=_ours("opensim_files:model_facts"),
    ),
    FileFormat(
        name="TRC",
        endings=(".trc",),
        what="markers",
        holds=("markers",),
        recognise=_begins(b"PathFileType"),
        read=_ours("opensim_files:from_trc"),
        write=_ours("opensim_files:to_trc"),
    ),
    FileFormat(
        name="Theia",
        endings=(".c3d",),
        what="segment poses of markerless motion capture (fitted by skel2mot)",
        holds=("joints",),
        recognise=lambda head, path: _is_c3d(head, path) and head[2:4] == b"\0\0",
        read=_ours("theia:from_theia"),
    ),
    FileFormat(
        name="C3D",
        endings=(".c3d",),
        what="markers, events, analog channels and force plates of a motion capture system",
        holds=("markers",),
        recognise=_is_c3d,
        read=_ours("c3d:from_c3d"),
        write=_ours("c3d:to_c3d"),
        describe=_ours("c3d:c3d_facts"),
        lost=("digits beyond float32 (about 0.1 micrometre)",),
        keeps_capture=True,
    ),
    FileFormat(
        name="BVH",
        endings=(".bvh",),
        what="skeleton animation as text",
        holds=("bones",),
        recognise=_begins(b"HIERARCHY"),
        read=_ours("bvh:from_bvh"),
        write=_ours("bvh:to_bvh"),
    ),
    FileFormat(
        name="GLB",
        endings=(".glb",),
        what="skeleton animation with skin, for Blender, Unity and browsers",
        holds=("bones",),
        recognise=_begins(b"glTF"),
        read=_ours("glb_file:from_glb"),
        write=_ours("gltf:to_glb"),
    ),
    FileFormat(
        name="MOT",
        endings=(".mot", ".sto"),
        what="OpenSim coordinates (needs --model)",
        holds=("coordinates",),
        recognise=lambda head, path: (
            (path.suffix.lower() in (".mot", ".sto") or b"\nendheader" in head)
            and b"\0" not in head
            and not head.startswith(b"PathFileType")
        ),
        read=_ours("opensim_files:from_mot"),
        write=_ours("opensim_files:to_mot"),
        describe=_ours("opensim_files:table_facts"),
    ),
    FileFormat(
        name="AddBiomechanics",
        endings=(".b3d",),
        what="a subject of AddBiomechanics; written as a folder for upload",
        holds=("markers", "coordinates", "model"),
        read=_ours("addbiomechanics:from_b3d"),
        write=_ours("addbiomechanics:to_addbiomechanics"),
        describe=_ours("addbiomechanics:b3d_facts"),
    ),
    FileFormat(
        name="SAM 3D Body",
        endings=(".npz", ".json", ".csv", ".pkl", ".pickle", ".npy"),
        what="joint centres of MHR bodies (fitted by skel2mot); also a folder of .npz",
        holds=("joints",),
        layouts=("SAM 3D Body (.npz, folder, .pkl)", "SAM3D-OpenSim (.json)", "SAM3DBody-cpp (.csv)"),
        recognise=_ours("mhr:is_mhr"),
        folder=_ours("mhr:is_mhr_folder"),
        read=_ours("mhr:from_mhr"),
    ),
    FileFormat(
        name="Human3.6M",
        endings=(".npy",),
        what="17 joints of MotionBERT, VideoPose3D and the like, of unknown size (fitted by skel2mot)",
        holds=("joints",),
        layouts=("MotionBERT", "VideoPose3D"),
        recognise=_ours("points3d:is_h36m"),
        read=_ours("points3d:from_h36m"),
    ),
    FileFormat(
        name="FreeMoCap",
        endings=(".csv", ".npy", ".parquet"),
        what="keypoints in space (fitted by skel2mot; .parquet needs the extra parquet)",
        holds=("joints",),
        recognise=_ours("points3d:is_freemocap"),
        read=_ours("points3d:from_freemocap"),
    ),
    FileFormat(
        name="SKEL motion",
        endings=(".npz", ".npy", ".pkl"),
        what="SKEL motion: ours, HSMR's demo, SKEL's alignment",
        holds=("skel",),
        layouts=("HSMR (file, folder)", "SKEL alignment"),
        recognise=lambda head, path: (
            path.suffix.lower() in (".npz", ".npy", ".pkl") or head[:2] == b"PK" or head[:1] == b"\x80"
        ),
        read=_ours("stored:from_skel_file"),
        write=_ours("stored:to_skel_file"),
        describe=_ours("stored:skel_facts"),
    ),
    FileFormat(
        name="SMPL motion",
        endings=(".npz", ".npy", ".pkl", ".pickle", ".pt", ".pth"),
        what="SMPL, SMPL-H, AMASS and the like (fitted by smpl2mot)",
        holds=("smpl",),
        folder=_ours("smpl_layouts:is_results_folder"),
        layouts=(
            *("AMASS", "SMPL", "SMPL-H", "SMPL-X", "HMR2.0", "4D-Humans", "WHAM", "GVHMR", "TRAM", "PromptHMR", "CoMotion"),
            *("VIBE", "3DPW", "EMDB", "SMPLer-X (folder)"),
        ),
        read=_ours("smpl:from_smpl"),
        describe=_ours("smpl:smpl_facts"),
    ),
    FileFormat(
        name="OpenPose",
        endings=(".json",),
        what="2-D keypoints, a file a frame in a folder; also of Pose2Sim, Sports2D and RTMLib",
        holds=("detections",),
        recognise=lambda head, _: b'"people"' in head,
        folder=lambda path: any(path.glob("*.json")),
        read=_ours("openpose:from_openpose"),
    ),
    FileFormat(
        name="MMPose",
        endings=(".json",),
        what="2-D keypoints",
        holds=("detections",),
        recognise=_ours("mmpose:is_mmpose"),
        read=_ours("mmpose:from_mmpose"),
    ),
    FileFormat(
        name="AlphaPose",
        endings=(".json",),
        what="2-D keypoints; also COCO's results files",
        holds=("detections",),
        recognise=_ours("alphapose:is_alphapose"),
        read=_ours("alphapose:from_alphapose"),
    ),
    FileFormat(
        name="DeepLabCut",
        endings=(".csv", ".h5"),
        what="2-D keypoints with names of joints (.h5 needs the extra)",
        holds=("detections",),
        recognise=_ours("deeplabcut:is_deeplabcut"),
        read=_ours("deeplabcut:from_deeplabcut"),
        extra="deeplabcut",
    ),
    FileFormat(
        name="OpenCap",
        endings=(),
        what="a session folder: model, motions, markers (--trial)",
        holds=("markers", "coordinates", "model"),
        folder=_ours("opencap:is_session"),
        read=_ours("opencap:from_opencap"),
        describe=_ours("opencap:session_facts"),
    ),
    FileFormat(
        name="Table",
        endings=(".csv", ".parquet"),
        what="coordinates as columns with units; any motion, markers or forces are written (.parquet needs the extra parquet)",
        holds=("coordinates",),
        recognise=_ours("tables:is_table"),
        read=_ours("tables:from_table"),
        write=_ours("tables:to_table"),
        lost=("digits beyond the tenth (.csv)",),
    ),
    FileFormat(
        name="Marker table",
        endings=(".csv",),
        what="markers as columns in metres",
        holds=("markers",),
        recognise=_ours("tables:is_marker_table"),
        read=_ours("tables:from_marker_table"),
    ),
    FileFormat(
        name="USD",
        endings=(".usda", ".usdc", ".usd"),
        what="skeleton animation with skin, for film and simulation tools",
        holds=("bones",),
        write=_ours("usd:to_usd"),
        extra="usd",
    ),
)
"""Searched in this order, after those of other packages."""


def formats() -> tuple[FileFormat, ...]:
    """Return the formats of other packages, then ours; an entry point that does not load is skipped, with a log warning."""
    found = []
    for entry in entry_points(group=GROUP):
        try:
            row = entry.load()
        except (ImportError, AttributeError) as error:
            row = error
        if isinstance(row, FileFormat):
            found.append(row)
        else:
            logging.getLogger(__name__).warning("%s (%s) is skipped, it names no FileFormat: %s", entry.name, entry.value, row)
    return (*found, *FORMATS)
