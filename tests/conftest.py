"""What many tests need: the development data (when they are there), the open body, small motions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# "python -m pytest" puts the checkout first, where the package has no converters and no models: test the installed one.
if str(Path(__file__).resolve().parents[1]) in sys.path:
    sys.path.remove(str(Path(__file__).resolve().parents[1]))

import numpy as np
import pytest

from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import Camera, GroundFit, Observation, OsimMotion, SkelMotion

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


@pytest.fixture
def ground_fit() -> GroundFit:
    """A level camera at 1 m, 4 m in front of the world's origin."""
    return GroundFit(
        camera_pitch_rad=0.1,
        camera_roll_rad=-0.02,
        pitch_source="given",
        roll_source="estimated",
        camera_height_m=1.0,
        standing_share=0.5,
        R_camera_world=np.diag([1.0, -1.0, -1.0]),
        t_camera_world_m=np.array([0.0, 1.0, 4.0]),
        treadmill=False,
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


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """Two seconds of one person at 30 Hz, known exactly, and what a detector would report of it."""

    truth: SkelMotion
    """Axes ``skel``; the soles stand at y = 0 in all frames."""
    observation: Observation
    pitch_rad: float
    """The camera looks down by so much."""
    camera_height_m: float
    landmarks_m: np.ndarray
    """(T, L, 3) where the landmarks are, camera axes."""
    unseen: slice
    """Frames in which the detector found nobody."""

    def angle_error_deg(self, motion: SkelMotion, *names: str, frames: Any = slice(None)) -> float:
        """RMS difference of some angles."""
        columns = [DOF_NAMES.index(name) for name in names]
        miss = np.asarray(motion.poses_rad)[frames][:, columns] - self.truth.poses_rad[frames][:, columns]
        return float(np.degrees(np.sqrt(np.mean(miss**2))))


def _stand_squat_and_reach() -> np.ndarray:
    """(60, 46) standing, a shallow squat with the centre of mass over the feet, the right forearm and arm moving."""
    time_s = np.arange(60) / 30
    squat, reach = (0.5 - 0.5 * np.cos(2 * np.pi * np.clip((time_s - at) / 1.2, 0, 1)) for at in (0.5, 0.3))
    lean, hip, knee = 0.065 + 0.4 * squat, 0.05 + 1.3 * squat, 0.1 + 1.3 * squat
    columns = {
        "pelvis_tilt": -lean,
        "elbow_flexion_r": 0.3 + 1.2 * reach,
        "elbow_flexion_l": 0.3,
        "shoulder_r_x": 1.1 - 0.5 * reach,
    }
    columns |= {"shoulder_l_x": -1.1, "lumbar_extension": -0.12 * hip, "thorax_extension": -0.08 * hip}
    for side in "rl":
        flat = knee - hip + lean
        columns |= {f"hip_flexion_{side}": hip, f"knee_angle_{side}": knee, f"ankle_angle_{side}": flat}
    poses = np.zeros((60, 46))
    for name, values in columns.items():
        poses[:, DOF_NAMES.index(name)] = values
    return poses


@pytest.fixture(scope="session")
def clip(open_body) -> SyntheticClip:
    """Somebody turned by half a radian, 4 m from a camera at 1.3 m that looks down by 10 degrees."""
    from scipy.spatial.transform import Rotation

    from hsmr_bio.body.placing import rotate_motion
    from hsmr_bio.fitting.core.body_points import KeypointPoints, SolePoints

    rng = np.random.default_rng(5)
    betas = np.array([0.8, -0.6, 0.5, *np.zeros(7)])
    motion = SkelMotion(
        time_s=np.arange(60) / 30,
        poses_rad=_stand_squat_and_reach(),
        trans_m=np.zeros((60, 3)),
        betas=betas,
        body=open_body.name,
        frame="skel",
    )
    motion = rotate_motion(motion, open_body, Rotation.from_rotvec([0, 0.5, 0]).as_matrix(), frame="skel")

    def placed(maker: Any, motion: SkelMotion) -> np.ndarray:
        points = maker(betas, np.zeros((8, 3)))
        pose = open_body.tree(betas).forward(motion.q)
        parts = pose.points(points.bodies, points.local_m)
        return (parts if points.mix is None else points.mix @ parts).numpy()

    soles = placed(SolePoints(open_body), motion).mean(axis=1)
    truth = SkelMotion(**{**vars(motion), "trans_m": motion.trans_m - soles})
    pitch, height, focal_px = np.radians(10), 1.3, 1000.0
    rotation = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_rotvec([pitch, 0, 0]).as_matrix()
    landmarks = KeypointPoints.of(open_body, "coco23")  # a detector whose depth is right, unlike the built-in one's
    count = len(landmarks.names)
    seen = (placed(landmarks, truth) - [0.1, height, 4.0]) @ rotation.T
    pixels = focal_px * seen[..., :2] / seen[..., 2:] + [540, 540] + 2.5 * rng.normal(size=(60, count, 2))
    hips = seen[:, [landmarks.names.index(f"{side}_hip") for side in ("left", "right")]].mean(axis=1, keepdims=True)
    metric = seen - hips + 0.02 * rng.normal(size=seen.shape)
    unseen, confidence = slice(48, 53), np.full((60, count), 0.95)
    pixels[unseen], metric[unseen], confidence[unseen] = np.nan, np.nan, 0.0
    camera = Camera(image_size_px=(1080, 1080), focal_px=focal_px, center_px=(540, 540), source="calibration")
    observation = Observation(
        time_s=truth.time_s,
        camera=camera,
        keypoint_set="coco23",
        keypoints_px=pixels,
        confidence=confidence,
        keypoints_m=metric,
        source="synthetic",
    )
    return SyntheticClip(truth, observation, float(pitch), height, seen, unseen)


@pytest.fixture(scope="session")
def camera_fit(clip: SyntheticClip, open_body):
    """The fit of the clip with known body height."""
    from hsmr_bio.fitting.video.fit_motion import fit_motion
    from hsmr_bio.fitting.video.keypoints import FitOptions

    return fit_motion(clip.observation, open_body, FitOptions(height_m=open_body.stature_m(clip.truth.betas)))


@pytest.fixture(scope="session")
def fitted(camera_fit) -> SkelMotion:
    """The clip's motion in the camera frame, as it was fitted."""
    return camera_fit.motion
