"""Place the Rajagopal bone meshes of pelvis, leg, arm and hand in the bone frames of the open body (right side).

Every function returns vertices in bone axes (x front, y up along the bone, z right; the joint is the origin). A long bone
is turned and stretched so that its two joints in the file fall on the body's two joints.

Source:
    Joint positions inside the files: Rajagopal et al. 2016 (location_in_parent of the model the meshes belong to).
"""

from __future__ import annotations

import numpy as np
from assets import Floats, Ints, read_ply
from mesh_parts import pieces
from tpose import shortest

Mesh3 = tuple[Floats, Ints]

FEMUR_KNEE = np.array([-0.0081, -0.408, -0.0028])
TIBIA_ANKLE = np.array([-0.010, -0.400, 0.0])
PATELLA_IN_TIBIA = np.array([0.0443, -0.0144, 0.0013])
PELVIS_HIP = np.array([-0.056276, -0.07849, 0.07726])
HUMERUS_ELBOW = np.array([0.0131, -0.2863, -0.0096])
CALCN_TOES = np.array([0.1788, -0.002, 0.00108])
TALUS_CALCN = np.array([-0.04877, -0.04195, 0.00792])
FOOT_PITCH_RAD = np.deg2rad(-5.5)
TOE_BORDERS = (-1.0, -0.010, 0.0153, 0.0287, 0.0415, 1.0)
"""Depths in the toe file that separate its five toes."""
PRONATED = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""Files show the supinated forearm and hand; in the T pose the palm is down: the thumb side (z) comes to the front (x)."""

FINGERS = ("thumb", "index", "middle", "ring", "little")
CARPALS = ("pisiform", "lunate", "scaphoid", "triquetrum", "hamate", "capitate", "trapezoid", "trapezium")


def join(parts: list[Mesh3]) -> Mesh3:
    """One mesh from several."""
    start = np.cumsum([0] + [len(v) for v, _ in parts])
    return np.concatenate([v for v, _ in parts]), np.concatenate([f + s for (_, f), s in zip(parts, start[:-1], strict=True)])


def stretch(points: Floats, source: tuple[Floats, Floats], goal: tuple[Floats, Floats], width: float | None = None) -> Floats:
    """Turn (shortest), scale and shift so that two source points fall on two goal points.

    Args:
        points: (n, 3).
        source: the two points in the file.
        goal: where they go.
        width: scale across the line; None: as along it.
    """
    along, wanted = source[1] - source[0], goal[1] - goal[0]
    length = float(np.linalg.norm(wanted) / np.linalg.norm(along))
    turned = (points - source[0]) @ shortest(along, wanted).T
    axis = wanted / np.linalg.norm(wanted)
    parallel = np.outer(turned @ axis, axis)
    return goal[0] + length * parallel + (length if width is None else width) * (turned - parallel)


def pelvis_turn(hip: Floats) -> Floats:
    """(2, 2) turn and scale, front and up, of the file's pelvis about the middle of the ASIS."""
    angle = np.arctan2(hip[1], hip[0]) - np.arctan2(PELVIS_HIP[1], PELVIS_HIP[0])
    scale = np.hypot(hip[0], hip[1]) / np.hypot(PELVIS_HIP[0], PELVIS_HIP[1])
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    return np.array([[c, -s], [s, c]])


def pelvis(hip: Floats) -> Mesh3:
    """Both hip bones and the sacrum; ``hip`` (3,) is the right hip joint in the pelvis frame.

    Turned about the inter-ASIS line so that the sockets meet the hip joints; wider at the sockets than at the crest.
    """
    scale = np.hypot(hip[0], hip[1]) / np.hypot(PELVIS_HIP[0], PELVIS_HIP[1])
    right, right_faces = read_ply("r_pelvis")
    left = right * [1, 1, -1], right_faces[:, ::-1]
    points, faces = join([(right, right_faces), left, read_ply("sacrum")])
    socket = np.clip(-points[:, 1] / 0.0785, 0, 1)
    side = scale * (1 - socket) + hip[2] / PELVIS_HIP[2] * socket
    return np.column_stack([points[:, :2] @ pelvis_turn(hip).T, side * points[:, 2]]), faces


def femur(knee: Floats) -> Mesh3:
    """``knee`` in the femur frame."""
    points, faces = read_ply("r_femur")
    return stretch(points, (np.zeros(3), FEMUR_KNEE), (np.zeros(3), knee)), faces


def tibia(ankle: Floats) -> Mesh3:
    """Tibia, fibula and patella; ``ankle`` in the tibia frame."""
    bone, fibula, patella = read_ply("r_tibia"), read_ply("r_fibula"), read_ply("r_patella")
    points, faces = join([bone, (fibula[0] + [0.003, 0, -0.003], fibula[1]), (patella[0] + PATELLA_IN_TIBIA, patella[1])])
    return stretch(points, (np.zeros(3), TIBIA_ANKLE), (np.zeros(3), ankle)), faces


def _pitch(points: Floats, pitch: float) -> Floats:
    c, s = np.cos(pitch), np.sin(pitch)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1], points[:, 2]], axis=1)


def foot(calcn: Floats, rays: dict[str, Floats], toes: Floats, length: float, width: float) -> tuple[Mesh3, Mesh3, Mesh3]:
    """Talus, calcaneus with midfoot and metatarsals, toes.

    The hindfoot is scaled as a whole; each metatarsal and phalanx goes to its own toe joints.

    Args:
        calcn: calcaneus joint in the talus frame.
        rays: toe joints in the calcaneus frame by cube name (``toe-3-1`` ...).
        toes: toe joint in the calcaneus frame.
        length: scale along the foot.
        width: scale across it.
    """
    scale = np.array([length, (length + width) / 2, width])
    talus, talus_faces = read_ply("r_talus")
    talus = _pitch((talus - TALUS_CALCN) * scale, FOOT_PITCH_RAD) + calcn
    hind: list[Mesh3] = []
    metatarsals = []
    for points, faces in pieces(*read_ply("r_foot")):
        placed = _pitch(points * scale, FOOT_PITCH_RAD)
        (metatarsals if len(points) == 112 else hind).append((placed, faces))
    for number, (points, faces) in enumerate(sorted(metatarsals, key=lambda part: float(part[0][:, 2].mean())), start=1):
        base, head = _end(points, 0, True), _end(points, 0, False)
        goal = base + 0.97 * (rays[f"toe-{number}-1"] - base)
        hind.append((stretch(points, (base, head), (base, goal), 0.85), faces))
    fore = [(points - toes, faces) for number in range(1, 6) for points, faces in _toe(number, rays, scale)]
    return (talus, talus_faces), join(hind), join(fore)


def _toe(number: int, rays: dict[str, Floats], scale: Floats) -> list[Mesh3]:
    """Phalanges of one toe between its joint cubes, in the calcaneus frame."""
    low, high = TOE_BORDERS[number - 1], TOE_BORDERS[number]
    own = [p for p in pieces(*read_ply("r_bofoot")) if low < p[0][:, 2].mean() <= high]
    own = sorted(own, key=lambda part: float(part[0][:, 0].mean()))
    out = []
    for index, (points, faces) in enumerate(own, start=1):
        a, b = rays[f"toe-{number}-{index}"], rays[f"toe-{number}-{index + 1}"]
        last = index == len(own)
        out.append(
            (_along((points + CALCN_TOES) * scale, (a + 0.05 * (b - a), a + (0.78 if last else 0.96) * (b - a)), 0.72), faces)
        )
    return out


def humerus(elbow: Floats) -> Mesh3:
    """``elbow`` in the humerus frame."""
    points, faces = read_ply("humerus_rv")
    return stretch(points, (np.zeros(3), HUMERUS_ELBOW), (np.zeros(3), elbow)), faces


def _end(points: Floats, axis: int, low: bool, share: float = 0.08) -> Floats:
    values = points[:, axis]
    span = np.ptp(values)
    pick = values < values.min() + share * span if low else values > values.max() - share * span
    return points[pick].mean(axis=0)


def forearm(radius: Floats, wrist: Floats, width: float) -> tuple[Mesh3, Mesh3]:
    """Ulna in the ulna frame and radius in the radius frame, forearm in mid position (palm down in the T pose).

    Args:
        radius: radius joint in the ulna frame.
        wrist: wrist joint in the ulna frame.
        width: scale of everything across the arm.
    """
    ulna, ulna_faces = read_ply("ulna_rv")
    head = wrist + np.array([-0.011, 0.010, 0.000]) * width
    ulna = stretch(ulna, (np.zeros(3), _end(ulna, 1, True)), (np.zeros(3), head), 0.85 * width)
    bone, bone_faces = read_ply("radius_rv")
    top, bottom = _end(bone, 1, False), _end(bone, 1, True)
    bone = (bone - top) @ PRONATED.T
    goal = wrist + np.array([0.008, 0.004, 0.0]) * width - radius
    start = np.array([0.002, 0.0, -0.007]) * width
    return (ulna, ulna_faces), (stretch(bone, (np.zeros(3), PRONATED @ (bottom - top)), (start, goal), width), bone_faces)


def hand(joints: dict[str, Floats]) -> Mesh3:
    """All 27 bones of the hand; ``joints`` are finger joints in the hand frame by cube name (``finger-3-1`` ...)."""
    parts: list[Mesh3] = []
    scale = float(np.linalg.norm(joints["finger-3-1"]) / 0.1015)
    to_hand = shortest(PRONATED @ np.array([-0.006, -0.1015, 0.0]), joints["finger-3-1"]) @ PRONATED
    for name in CARPALS:
        points, faces = read_ply(f"{name}_rvs")
        parts.append((scale * points @ to_hand.T, faces))
    for number, name in enumerate(FINGERS, start=1):
        stations = [joints[f"finger-{number}-{k}"] for k in (1, 2, 3, 4)]
        if number == 1:
            bones = ["metacarpal1", "thumb_proximal", "thumb_distal"]
        else:
            bones = [f"metacarpal{number}", f"{name}_proximal", f"{name}_medial", f"{name}_distal"]
            stations = [0.26 * stations[0] + 0.02 * (joints[f"finger-{number}-1"] - joints["finger-3-1"]), *stations]
        for index, bone in enumerate(bones):
            points, faces = read_ply(f"{bone}_rvs")
            turned = scale * points @ to_hand.T
            a, b = stations[index], stations[index + 1]
            last = index == len(bones) - 1
            goal = a + 0.04 * (b - a), a + (0.72 if last else 0.96) * (b - a)
            parts.append((_along(turned, goal), faces))
    return join(parts)


def _along(points: Floats, goal: tuple[Floats, Floats], width: float = 0.85) -> Floats:
    """Put a phalanx between two points by the ends of its long axis."""
    centred = points - points.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    axis = axis * np.sign(axis @ (goal[1] - goal[0]))
    reach = centred @ axis
    middle = points.mean(axis=0)
    source = middle + reach.min() * axis, middle + reach.max() * axis
    return stretch(points, source, goal, width)
