"""The map SKEL -> BSM: how near every bone comes, the way back, and the speed; next to other ways to fill a BSM model.

python benchmarks/bench_map.py            the table of docs/validation.md; OpenSim's marker IK on 60 poses
python benchmarks/bench_map.py --poses 200 --no-opensim

Poses are random, uniform in every angle, betas ~ N(0, 1). ``common``: limits of SKEL and BSM where an angle means the same in
both (legs, spine, elbow, forearm, wrist), SKEL's for scapula and shoulder. ``skel``: all of SKEL's limits, most of which no
person reaches together. ``walk``: a smooth made-up gait.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from hsmr_bio.body import Body, load_body
from hsmr_bio.fitting.markers.inverse_kinematics import inverse_kinematics
from hsmr_bio.mapping import to_coordinates, to_skel
from hsmr_bio.osim.library import as_document
from hsmr_bio.osim.placed import coordinate_values
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, LIMITS_RAD
from hsmr_bio.types import Frame, JointShapes, Markers, OsimMotion, SkelMotion, Subject

MAIN = ("femur", "tibia", "talus", "humerus", "ulna", "hand")
BODIES_PER_SHAPE = 100
WORLD_REST = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


def limits(kind: str, subject: Subject) -> np.ndarray:
    """(46, 2) range that angles are drawn from."""
    drawn = np.array(LIMITS_RAD)
    drawn[:3] = [-0.5, 0.5]
    coordinates = as_document(subject).coordinates
    for i, name in enumerate(DOF_NAMES):
        if kind == "common" and not name.startswith(("pelvis", "scapula", "shoulder")):
            low, high = coordinates[name].range_si
            drawn[i] = max(drawn[i, 0], low), min(drawn[i, 1], high)
    return drawn


def walk(frames: int) -> np.ndarray:
    """(T, 46) a smooth gait: every angle of legs, trunk and arms swings, arms hanging."""
    phase = 2 * np.pi * np.arange(frames) / 110
    q = np.zeros((frames, 46))
    for i, name in enumerate(DOF_NAMES):
        left = np.pi if name.endswith("_l") or "_l_" in name else 0.0
        sign = -1.0 if left and name.startswith(("scapula_a", "scapula_e", "shoulder")) and not name.endswith("z") else 1.0
        middle, swing = next((v for k, v in _GAIT.items() if name.startswith(k)), (0.0, 0.04))
        if name.startswith("shoulder") and name.endswith("_x"):
            middle, swing = 1.25, 0.05
        q[:, i] = sign * (middle + swing * np.sin(phase + left + 0.7 * (i % 7)))
    return q


_GAIT = {
    "hip_flexion": (0.15, 0.4),
    "knee": (0.5, 0.45),
    "ankle": (0.0, 0.2),
    "elbow": (0.4, 0.2),
    "scapula_elevation": (-0.15, 0.03),
    "shoulder": (0.0, 0.3),
}


def errors(motion: SkelMotion, subject: Subject, body: Body, osim: OsimMotion) -> tuple[np.ndarray, np.ndarray]:
    """Distance (T, 24) in mm and angle (T, 24) in degrees of a model's bones from the body's."""
    document = as_document(subject)
    pose = document.tree().forward(np.array(coordinate_values(osim, document)))
    rows = [document.tree().bodies.index(name) for name in JOINT_NAMES]
    wanted = body.forward(motion.poses_rad, motion.betas, motion.trans_m)
    far = np.linalg.norm(pose.positions_m.numpy()[:, rows] - wanted.joints_m.numpy() @ WORLD_REST.T, axis=-1)
    turn = np.swapaxes(WORLD_REST @ wanted.joints_ori.numpy(), -1, -2) @ pose.rotations.numpy()[:, rows]
    cosine = np.clip((np.trace(turn, axis1=2, axis2=3) - 1) / 2, -1, 1)
    return far * 1e3, np.degrees(np.arccos(cosine))


def naive(motion: SkelMotion, subject: Subject, body: Body) -> OsimMotion:
    """SKEL's numbers under BSM's names, the pelvis placed right."""
    mapped = to_coordinates(motion, subject, body, continuous=False)
    values = np.array(mapped.values_si)
    for i, name in enumerate(DOF_NAMES[3:], start=3):
        values[:, mapped.coordinates.index(name)] = motion.poses_rad[:, i]
    return replace(mapped, values_si=values)


def marker_ik(motion: SkelMotion, subject: Subject, body: Body) -> OsimMotion:
    """OpenSim's own tool on the 105 markers of the model, carried by SKEL's bones."""
    document = as_document(subject)
    placed = body.forward(motion.poses_rad, motion.betas, motion.trans_m)
    joints, turns = placed.joints_m.numpy() @ WORLD_REST.T, WORLD_REST @ placed.joints_ori.numpy()
    names = tuple(document.markers)
    bones = [JOINT_NAMES.index(document.markers[name].body) for name in names]
    local = np.array([document.markers[name].position_m for name in names])
    points = joints[:, bones] + np.einsum("tmij,mj->tmi", turns[:, bones], local)
    return inverse_kinematics(Markers(time_s=motion.time_s, names=names, positions_m=points), document, backend="opensim")


def motion_of(poses: np.ndarray, betas: np.ndarray, body: Body, frame: Frame) -> SkelMotion:
    """Poses (T, 46) at 100 Hz, at the origin."""
    count = len(poses)
    return SkelMotion(
        time_s=np.arange(count) / 100, poses_rad=poses, trans_m=np.zeros((count, 3)), betas=betas, body=body.name, frame=frame
    )


Way = Callable[[SkelMotion, Subject, Body], OsimMotion]


def own(motion: SkelMotion, subject: Subject, body: Body) -> OsimMotion:
    """This project's map."""
    return to_coordinates(motion, subject, body, continuous=False)


def run(way: Way, kind: str, poses: int, body: Body, joints: JointShapes) -> tuple[np.ndarray, np.ndarray, float]:
    """Errors (T, 24) in mm and degrees, and CPU seconds a frame."""
    random = np.random.default_rng(0)
    far, turned, spent = [], [], 0.0
    each = min(poses, BODIES_PER_SHAPE)
    for _ in range(max(1, poses // each)):
        betas = random.normal(size=10)
        subject = scale_model(body, betas, joints=joints)
        low, high = limits(kind, subject).T
        drawn = walk(each) if kind == "walk" else random.uniform(low, high, (each, 46))
        motion = motion_of(drawn, betas, body, "skel")
        began = time.process_time()
        osim = way(motion, subject, body)
        spent += time.process_time() - began
        one = errors(motion, subject, body, osim)
        far.append(one[0])
        turned.append(one[1])
    return np.concatenate(far), np.concatenate(turned), spent / (each * len(far))


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(values).mean()))


def table(results: dict[str, tuple[np.ndarray, np.ndarray, float]]) -> None:
    """Print the table per joint, both sides together, as mm / degrees."""
    print("| body | " + " | ".join(results) + " |")
    print("| --- |" + " --- |" * len(results))
    stems = list(dict.fromkeys(name.removesuffix("_r").removesuffix("_l") for name in JOINT_NAMES))
    groups = {stem: [i for i, name in enumerate(JOINT_NAMES) if name in (stem, f"{stem}_r", f"{stem}_l")] for stem in stems}
    groups["talus: right"], groups["talus: left"] = ([JOINT_NAMES.index(f"talus_{s}")] for s in "rl")
    groups["**hip, knee, ankle, shoulder, elbow, wrist**"] = [i for stem in MAIN for i in groups[stem]]
    groups["**all**"] = list(range(24))
    for name, rows in groups.items():
        cells = [f"{rms(far[:, rows]):.1f} / {rms(turned[:, rows]):.1f}" for far, turned, _ in results.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("| CPU ms a frame | " + " | ".join(f"{1e3 * spent:.2f}" for *_, spent in results.values()) + " |")


def round_trip(body: Body) -> None:
    """Print what an angle loses on the way to BSM and back."""
    random = np.random.default_rng(1)
    for kind in ("walk", "common"):
        lost, turned = [], []
        for _ in range(4):
            betas = random.normal(size=10)
            subject = scale_model(body, betas)
            low, high = limits(kind, subject).T
            poses = walk(110) if kind == "walk" else random.uniform(low, high, (110, 46))
            motion = motion_of(poses, betas, body, "world")
            flags = {"continuous": kind == "walk"}
            back = to_skel(to_coordinates(motion, subject, body, **flags), subject, body, **flags)
            lost.append((back.poses_rad - poses + np.pi) % (2 * np.pi) - np.pi)
            before, after = (body.forward(q, betas).joints_ori.numpy() for q in (poses, back.poses_rad))
            cosine = (np.trace(np.swapaxes(before, -1, -2) @ after, axis1=2, axis2=3) - 1) / 2
            turned.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        each = np.degrees(np.sqrt(np.square(np.concatenate(lost)).mean(axis=0)))
        held = [n for n, name in enumerate(DOF_NAMES) if each[n] <= 0.5]
        print(f"round trip, {kind}: {len(held)} of 46 angles within 0.5 deg RMS; the others:")
        arms = [JOINT_NAMES.index(f"humerus_{side}") for side in "rl"]
        print(f"  humeri return to {rms(np.concatenate(turned)[:, arms]):.2f} deg of their orientation")
        print("  " + ", ".join(f"{name} {each[n]:.2f}" for n, name in enumerate(DOF_NAMES) if n not in held))


def speed(body: Body) -> None:
    """Print frames a second of a motion, wall clock, on the threads that torch has."""
    subject = scale_model(body, np.zeros(10))
    motion = motion_of(walk(10000), np.zeros(10), body, "world")
    best, cpu = float("inf"), float("inf")
    for _ in range(3):
        began, used = time.perf_counter(), time.process_time()
        to_coordinates(motion, subject, body)
        best, cpu = min(best, time.perf_counter() - began), min(cpu, time.process_time() - used)
    print(f"map of 10 000 frames of a motion: {10000 / best:.0f} frames/s on {torch.get_num_threads()} threads; ", end="")
    print(f"{10000 / cpu:.0f} frames a CPU second")
    began = time.process_time()
    for k in range(3):
        scale_model(body, np.full(10, 0.1 * k))
    print(f"scaling a model: {(time.process_time() - began) / 3:.2f} CPU s")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=1000)
    parser.add_argument("--no-opensim", action="store_true")
    args = parser.parse_args()
    body = load_body("open")
    results = {
        "common": run(own, "common", args.poses, body, "bsm"),
        "all of SKEL's box": run(own, "skel", args.poses, body, "bsm"),
        "walk": run(own, "walk", 500, body, "bsm"),
        "SKEL's joints, SKEL's box": run(own, "skel", args.poses // 5, body, "skel"),
        "angles copied, common": run(naive, "common", args.poses // 5, body, "bsm"),
    }
    if not args.no_opensim:
        results["OpenSim's marker IK, common"] = run(marker_ik, "common", 60, body, "bsm")
        results["OpenSim's marker IK, walk"] = run(marker_ik, "walk", 60, body, "bsm")
    table(results)
    round_trip(body)
    speed(body)


if __name__ == "__main__":
    main()
