"""What is attacked: for each format some small good files, and the function that reads one."""

from __future__ import annotations

import io
import json
import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.converters.bvh import read_bvh
from hsmr_bio.converters.c3d import read_c3d, write_c3d
from hsmr_bio.converters.glb_file import read_glb
from hsmr_bio.converters.registry import describe
from hsmr_bio.dynamics.load_files import read_loads
from hsmr_bio.estimators.hsmr import read_boxes
from hsmr_bio.hsmr.checkpoint import read_weights
from hsmr_bio.io.cameras import read_camera
from hsmr_bio.io.door import reading
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.npz import load_motion, load_observation, save_motion
from hsmr_bio.io.sto import read_sto
from hsmr_bio.io.trc import read_trc
from hsmr_bio.io.unpickle import load_pickle
from hsmr_bio.io.video import open_video
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.types import Markers, SkelMotion

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SEEDS = Path(__file__).resolve().parent / "seeds"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One format."""

    ending: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    beside: dict[str, bytes] | None = None
    """Other files in the same folder."""


def _golden(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(GOLDEN / name).read_bytes() for name in names]


def _text(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(SEEDS / name).read_bytes() for name in names]


def _written(ending: str, write: Callable[[Path], object]) -> Callable[[], list[bytes]]:
    """Make a seed with one of our writers."""

    @cache
    def seeds() -> list[bytes]:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"seed{ending}"
            write(path)
            return [path.read_bytes()]

    return seeds


def _markers() -> Markers:
    positions = np.random.default_rng(0).normal(size=(6, 3, 3))
    return Markers(time_s=np.arange(6) / 100, names=("RASI", "LASI", "B"), positions_m=positions)


def _motion() -> SkelMotion:
    zeros = np.zeros((3, 46))
    return SkelMotion(
        time_s=np.arange(3) / 30,
        poses_rad=zeros,
        trans_m=zeros[:, :3],
        betas=np.zeros(10),
        body="open-neutral@x",
        frame="world",
    )


def _skel() -> dict[str, Any]:
    return {"poses": np.zeros((2, 46)), "betas": np.zeros((2, 10)), "trans": np.zeros((2, 3)), "gender": "male"}


def _pickles() -> list[bytes]:
    return [pickle.dumps(_skel(), protocol) for protocol in (0, 2, 4)]


def _joblib() -> list[bytes]:
    return [*_golden("joblib_arrays.pkl", "joblib_arrays_zlib.pkl")(), zlib.compress(pickle.dumps(_skel(), 3))]


def _saved(save: Callable[[io.BytesIO], object]) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        stream = io.BytesIO()
        save(stream)
        return [stream.getvalue()]

    return seeds


def _hsmr(stream: io.BytesIO) -> None:
    widths = {"poses": 46, "betas": 10, "full_cam_t": 3, "bbx_cs": 3}
    frames = [{key: np.ones((1, width)) for key, width in widths.items()} for _ in range(2)]
    np.save(stream, np.array(frames, dtype=object))


def _smpl(stream: io.BytesIO) -> None:
    np.savez(stream, poses=np.zeros((2, 72)), trans=np.zeros((2, 3)), betas=np.zeros(10), mocap_framerate=30.0, gender="male")


def _torch(stream: io.BytesIO) -> None:
    import torch

    torch.save({"pose": torch.zeros(2, 72), "trans": torch.zeros(2, 3), "backbone.a": torch.ones(3)}, stream)


def _safetensors() -> list[bytes]:
    from safetensors.numpy import save

    return [save({"backbone.a": np.zeros(3, np.float32), "head.b": np.zeros((2, 2), np.float32)})]


def _osim(path: Path) -> object:
    with reading(path):
        document = OsimDocument.read(path)
        return document.bodies, document.coordinates, document.markers, document.dependent, document.tree()


def _camera(path: Path) -> object:
    return read_camera(path, (1280, 720), "cam1.mp4")


CAMERA_JSON = json.dumps({"cameras": {"cam1": {"K": [[900, 0, 640], [0, 900, 360], [0, 0, 1]], "image_size": [1280, 720]}}})
GRF = (GOLDEN / "opensim_degrees.mot").read_bytes()

TARGETS: dict[str, Target] = {
    "osim": Target(ending=".osim", seeds=_text("pendulum.osim"), read=_osim),
    "trc": Target(ending=".trc", seeds=_golden("opensim_markers.trc"), read=read_trc),
    "mot": Target(ending=".mot", seeds=_golden("opensim_degrees.mot"), read=read_mot),
    "sto": Target(ending=".sto", seeds=_golden("opensim_radians.sto", "opensim_states.sto"), read=read_sto),
    "c3d": Target(ending=".c3d", seeds=_written(".c3d", lambda path: write_c3d(path, _markers())), read=read_c3d),
    "bvh": Target(ending=".bvh", seeds=_text("arm.bvh"), read=read_bvh),
    "glb": Target(ending=".glb", seeds=_golden("three_skeleton.glb"), read=read_glb),
    "npz": Target(ending=".npz", seeds=_written(".npz", lambda path: save_motion(path, _motion())), read=load_motion),
    "observation": Target(ending=".npz", seeds=_saved(_smpl), read=load_observation),
    "npy": Target(ending=".npy", seeds=_saved(_hsmr), read=describe),
    "pkl": Target(ending=".pkl", seeds=_pickles, read=describe),
    "joblib": Target(ending=".pkl", seeds=_joblib, read=load_pickle),
    "smpl": Target(ending=".npz", seeds=_saved(_smpl), read=describe),
    "pt": Target(ending=".pt", seeds=_saved(_torch), read=describe),
    "ckpt": Target(ending=".ckpt", seeds=_saved(_torch), read=read_weights),
    "safetensors": Target(ending=".safetensors", seeds=_safetensors, read=read_weights),
    "json": Target(ending=".json", seeds=lambda: [CAMERA_JSON.encode()], read=_camera),
    "toml": Target(ending=".toml", seeds=_text("cameras.toml"), read=_camera),
    "yml": Target(ending=".yml", seeds=_text("camera.yml"), read=_camera),
    "xml": Target(ending=".xml", seeds=_text("camera.xml"), read=_camera),
    "csv": Target(ending=".csv", seeds=lambda: [b"frame,x0,y0,x1,y1\n0,1,2,3,4\n1,1,2,5,6.5\n"], read=read_boxes),
    "loads": Target(ending=".xml", seeds=_text("loads.xml"), read=read_loads, beside={"grf.mot": b""}),
    "loads_table": Target(ending=".mot", seeds=_text("grf.mot"), read=read_loads),
    "video": Target(ending=".mov", seeds=_golden("two_frames_hevc.mov"), read=lambda path: list(open_video(path))),
}
