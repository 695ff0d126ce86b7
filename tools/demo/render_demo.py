"""Makes the demo clip ``examples/demo.mp4`` and the truth beside it: python tools/demo/render_demo.py [FOLDER].

The person is the open body, so the clip is ours and its angles are known exactly. The run is deterministic.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from motion import RATE_HZ, Array, demo_motion
from renderer import Scene, View

from hsmr_bio.body.body import Body
from hsmr_bio.body.load import load_body
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import save_motion
from hsmr_bio.mapping import to_coordinates
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import Camera, SkelMotion

SIZE_PX = (960, 720)
FOCAL_PX = 900.0
BETAS = (0.6, -0.3, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_SKIN, _HAIR = (0.80, 0.60, 0.48), (0.20, 0.13, 0.09)
_SHIRT, _SHORTS, _SHOES, _SOLES = (0.20, 0.38, 0.62), (0.22, 0.22, 0.26), (0.86, 0.86, 0.88), (0.75, 0.25, 0.20)
_LIPS, _WHITE, _IRIS = (0.66, 0.38, 0.34), (0.95, 0.95, 0.95), (0.15, 0.10, 0.08)


def clothes(body: Body) -> Array:
    """(V, 3) colours: T-shirt, shorts, shoes, hair, eyes, chosen by bone and place in the T pose."""
    rest = body.rest(np.zeros(10))
    points, joints = rest.skin_m, {name: rest.joints_m[i] for i, name in enumerate(JOINT_NAMES)}
    weights = np.asarray(body.data.skin_weights.todense())
    bone = np.array(JOINT_NAMES)[weights.argmax(axis=1)]
    colours = np.tile(np.array(_SKIN), (len(points), 1))

    def paint(where: Array, colour: tuple[float, float, float]) -> None:
        colours[where] = colour

    waist = joints["pelvis"][1] + 0.06
    knee, hip = joints["tibia_r"][1], joints["femur_r"][1]
    half_sleeve = abs(joints["humerus_r"][0]) + 0.5 * abs(joints["ulna_r"][0] - joints["humerus_r"][0])
    trunk = np.isin(bone, ["pelvis", "lumbar_body", "thorax", "scapula_r", "scapula_l", "humerus_r", "humerus_l"])
    collar = joints["thorax"][1] + 0.9 * (joints["head"][1] - joints["thorax"][1])
    paint(trunk & (points[:, 1] > waist) & (np.abs(points[:, 0]) < half_sleeve) & (points[:, 1] < collar), _SHIRT)
    legs = np.isin(bone, ["pelvis", "femur_r", "femur_l", "lumbar_body"])
    paint(legs & (points[:, 1] <= waist) & (points[:, 1] > knee + 0.35 * (hip - knee)), _SHORTS)
    feet = np.isin(bone, [f"{name}_{side}" for name in ("talus", "calcn", "toes") for side in "rl"])
    paint(feet, _SHOES)
    paint(feet & (points[:, 1] < points[:, 1].min() + 0.018), _SOLES)
    _paint_head(body, points, bone == "head", paint)
    return colours


def _paint_head(body: Body, points: Array, head: Array, paint: object) -> None:
    place = {name: points[index] for name, index in body.data.landmarks.items()}
    brow, ear, back = place["glabella"], place["L_tragion"], place["opisthocranion"]
    above = points[:, 1] > brow[1] + 0.035 - 0.10 * np.clip(brow[2] - points[:, 2] - 0.02, 0, 1.2)
    behind = (points[:, 2] < ear[2] - 0.01) & (points[:, 1] > back[1] - 0.06)
    paint(head & ((above & (points[:, 1] > ear[1] + 0.01)) | behind), _HAIR)
    stature = np.ptp(points[:, 1])
    named = {point.name: point for point in body.data.keypoints["blazepose33"]}
    joints = body.rest(np.zeros(10)).joints_m
    for side in ("left", "right"):
        eye = named[f"{side}_eye"]
        center = joints[eye.joint] + np.array(eye.offset_over_stature) * stature
        near = np.linalg.norm((points - center)[:, :2] * (1.0, 1.5), axis=1)
        front = head & (points[:, 2] > brow[2] - 0.045)
        paint(front & (near < 0.015), _WHITE)
        paint(front & (near < 0.0075), _IRIS)
        brows = (np.abs(points[:, 0] - center[0]) < 0.019) & (np.abs(points[:, 1] - center[1] - 0.020) < 0.005)
        paint(front & brows, _HAIR)
    mouth = np.mean(
        [joints[named[n].joint] + np.array(named[n].offset_over_stature) * stature for n in ("mouth_left", "mouth_right")],
        axis=0,
    )
    lips = (np.abs(points[:, 0]) < 0.024) & (np.abs(points[:, 1] - mouth[1]) < 0.008) & (points[:, 2] > brow[2] - 0.03)
    paint(head & lips, _LIPS)


def view_of(path_m: Array) -> View:
    """A camera that sees the whole walk obliquely from the front right, 1.35 m above the floor."""
    middle = np.array([(path_m[:, 0].min() + path_m[:, 0].max()) / 2, 0.86, path_m[:, 2].mean()])
    return View.looking(middle + np.array([2.35, 0.49, 2.75]), middle, FOCAL_PX, SIZE_PX)


def write_clip(path: Path, motion: SkelMotion, body: Body, view: View) -> None:
    """Render and encode."""
    scene, colours = Scene(view), clothes(body)
    skin = body.forward(motion.poses_rad, motion.betas, motion.trans_m, skin=True).skin_m.numpy()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(RATE_HZ).limit_denominator(), options={"crf": "24", "preset": "slow"}
        )
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for points in skin:
            frame = av.VideoFrame.from_ndarray(scene.draw(points, body.faces, colours), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_truth(folder: Path, motion: SkelMotion, body: Body, view: View) -> None:
    """Write the motion as SKEL parameters with the camera (.npz), and as coordinates of the scaled BSM (.mot)."""
    subject = scale_model(body, motion.betas, name="demo_truth")
    camera = Camera(image_size_px=SIZE_PX, focal_px=FOCAL_PX, center_px=(SIZE_PX[0] / 2, SIZE_PX[1] / 2), source="demo truth")
    notes = {
        "stature_m": round(subject.stature_m, 4),
        "floor_y_m": 0.0,
        "world_to_camera_rotation": view.rotation.round(9).tolist(),
        "world_to_camera_translation_m": view.translation_m.round(9).tolist(),
    }
    save_motion(folder / "demo_truth.npz", replace(motion, camera=camera, notes=notes))
    write_mot(folder / "demo_truth.mot", to_coordinates(motion, subject, body), title="demo_truth")


def main() -> None:
    """Read the command line, make the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[2] / "examples")
    parser.add_argument("--truth-only", action="store_true", help="write the truth again, not the pictures")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    body = load_body("open")
    motion = demo_motion(body, np.array(BETAS))
    view = view_of(motion.trans_m)
    if not args.truth_only:
        write_clip(args.folder / "demo.mp4", motion, body, view)
    write_truth(args.folder, motion, body, view)


if __name__ == "__main__":
    main()
