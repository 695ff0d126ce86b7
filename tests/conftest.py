"""What many tests need: the development data (when they are there), the open body, small motions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import OsimMotion, SkelMotion

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def away_from_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in an empty folder: child processes import the installed package, and OpenSim's log is left elsewhere."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the development data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the development data (../shared) are not here")
    return SHARED


@pytest.fixture
def golden() -> Path:
    """Whole files made by other programs; each has its origin beside it."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def open_body():
    """The open neutral body."""
    from hsmr_bio.body import load_body

    return load_body("open", sex="neutral")


@pytest.fixture
def walk() -> OsimMotion:
    """Two seconds of four coordinates at 100 Hz."""
    time = np.arange(200) / 100
    values = np.stack(
        [0.5 + 0.5 * np.sin(7 * time), 0.3 * np.sin(7 * time), 1.2 * time, 0.95 + 0.02 * np.cos(14 * time)], axis=1
    )
    return OsimMotion(
        time_s=time,
        coordinates=("knee_angle_r", "hip_flexion_r", "pelvis_tx", "pelvis_ty"),
        values_si=values,
        rotational=np.array([True, True, False, False]),
    )


@pytest.fixture
def still() -> SkelMotion:
    """Half a second of SKEL's rest pose with knees and elbows a little bent."""
    poses = np.zeros((30, 46))
    for name in ("knee_angle_r", "knee_angle_l", "elbow_flexion_r", "elbow_flexion_l"):
        poses[:, DOF_NAMES.index(name)] = 0.2
    return SkelMotion(
        time_s=np.arange(30) / 60,
        poses_rad=poses,
        trans_m=np.zeros((30, 3)),
        betas=np.zeros(10),
        body="open-neutral@test",
        frame="world",
    )


def _synthetic(shared: Path, folder: Path, arguments: str) -> Path:
    """Write the synthetic SKEL and SMPL files of some generator arguments; they hold nothing licensed."""
    tool = shared / "tools" / "make_synthetic_skel.py"
    command = [sys.executable, str(tool), "--out", str(folder), *arguments.split()]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def synthetic_male(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with synthetic skel_male.pkl and smpl/SMPL_MALE.pkl."""
    return _synthetic(shared, tmp_path_factory.mktemp("male"), "--seed 11 --gender male")


@pytest.fixture(scope="session")
def synthetic_skel(shared: Path, synthetic_male: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Synthetic SKEL files by the name of their fixture."""
    variant = (
        "--seed 12 --gender male --zero-root-offset --n-betas 16 --root-parent 4294967295 --float-type float32 "
        "--n-skel 3100 --learned-rot-deg 9 --apose-rot-deg 8 --no-smpl"
    )
    female = _synthetic(shared, tmp_path_factory.mktemp("female"), "--seed 11 --gender female --no-smpl")
    other = _synthetic(shared, tmp_path_factory.mktemp("variant"), variant)
    return {
        "skel_male": synthetic_male / "skel_male.pkl",
        "skel_female": female / "skel_female.pkl",
        "skel_variant": other / "skel_male.pkl",
    }


class OpenSimModel:
    """A model loaded by OpenSim itself, with what it logged."""

    sink: Any = None  # one for the whole run: taking a sink away again crashes OpenSim 4.6

    def __init__(self, path: Path) -> None:
        import opensim

        if OpenSimModel.sink is None:
            OpenSimModel.sink = opensim.StringLogSink()
            opensim.Logger.addSink(OpenSimModel.sink)
        opensim.Logger.setLevelString("Info")
        before = len(OpenSimModel.sink.getString())
        self.model = opensim.Model(str(path))
        self.state = self.model.initSystem()
        self.log = OpenSimModel.sink.getString()[before:]
        opensim.Logger.setLevelString("Error")
        coordinates = self.model.getCoordinateSet()
        self.coordinates = [coordinates.get(i).getName() for i in range(coordinates.getSize())]
        for i in range(coordinates.getSize()):
            coordinates.get(i).setLocked(self.state, False)

    def place(self, values: dict[str, float]) -> None:
        """Set coordinates, clamped or not."""
        for name, value in values.items():
            self.model.getCoordinateSet().get(name).setValue(self.state, float(value), False)
        self.model.realizePosition(self.state)

    def body(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Origin (3,) and orientation (3, 3) of a body in ground."""
        transform = self.model.getBodySet().get(name).getTransformInGround(self.state)
        p, r = transform.p(), transform.R().asMat33()
        return np.array([p.get(i) for i in range(3)]), np.array([[r.get(i, k) for k in range(3)] for i in range(3)])

    def marker(self, name: str) -> np.ndarray:
        """Position (3,) of a marker in ground."""
        at = self.model.getMarkerSet().get(name).getLocationInGround(self.state)
        return np.array([at.get(i) for i in range(3)])


@pytest.fixture(scope="session")
def opensim_model():
    """Load a model file in OpenSim: call it with the path."""
    pytest.importorskip("opensim")
    return OpenSimModel
