"""Draw docs/images/open_body.png: rest pose with bones, betas at +-2, random poses within the limits.

Run ``python tools/open_body/picture.py`` with the project installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "demo"))

from PIL import Image  # noqa: E402
from renderer import nearest_triangles, normals  # noqa: E402

from hsmr_bio import load_body  # noqa: E402
from hsmr_bio.body.body import Body  # noqa: E402
from hsmr_bio.skeleton import DOF_NAMES, LIMITS_RAD  # noqa: E402

FRONT, BACK = np.diag([1.0, 1, 1]), np.diag([-1.0, 1, -1])
SIDE = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
SKIN, BONE = np.array([0.87, 0.70, 0.60]), np.array([0.95, 0.92, 0.80])
LIGHT = np.array([0.35, 0.45, 0.82])
CENTRE = np.array([0.0, -0.10, 0.0])


def _layer(
    points: np.ndarray, faces: np.ndarray, view: np.ndarray, scale: float, size: tuple[int, int], colour: np.ndarray
) -> np.ndarray:
    """(H, W, 4) picture and cover of a mesh without perspective; rows of ``view``: right, up, to the eye."""
    seen = (points - CENTRE) @ view.T
    px = np.stack([size[0] / 2 + scale * seen[:, 0], size[1] / 2 - scale * seen[:, 1]], axis=1)
    face, weights = nearest_triangles(px, 10 - seen[:, 2], faces, size)
    shade = 0.35 + 0.65 * np.abs(normals(points, faces) @ view.T @ (LIGHT / np.linalg.norm(LIGHT)))
    out = np.zeros((size[0] * size[1], 4))
    hit = face >= 0
    out[hit, :3] = colour * (shade[faces[face[hit]]] * weights[hit]).sum(axis=1)[:, None]
    out[hit, 3] = 1
    return out.reshape(size[1], size[0], 4)


def draw(
    body: Body, pose: np.ndarray, betas: np.ndarray, view: np.ndarray, scale: float, size: tuple[int, int], bones: bool
) -> np.ndarray:
    """(H, W, 3) one figure; with bones the skin is transparent."""
    posed = body.forward(pose[None], betas[None], np.zeros((1, 3)), skin=True, skeleton=bones)
    picture = np.ones((size[1], size[0], 3))
    if bones:
        layer = _layer(posed.skeleton_m[0].numpy(), body.bone_faces, view, scale, size, BONE)
        picture = np.where(layer[..., 3:] > 0, layer[..., :3], picture)
    layer = _layer(posed.skin_m[0].numpy(), body.faces, view, scale, size, SKIN)
    return picture + layer[..., 3:] * (0.30 if bones else 1.0) * (layer[..., :3] - picture)


def _arms_down() -> np.ndarray:
    pose = np.zeros(46)
    pose[DOF_NAMES.index("shoulder_r_x")], pose[DOF_NAMES.index("shoulder_l_x")] = 1.25, -1.25
    return pose


def sheet() -> np.ndarray:
    """The whole picture."""
    bodies = [load_body("open", sex=sex) for sex in ("male", "female")]
    zero, rest, down = np.zeros(10), np.zeros(46), _arms_down()
    top = [draw(b, rest, zero, v, 240, s, True) for b in bodies for v, s in ((FRONT, (460, 460)), (SIDE, (160, 460)))]
    middle = []
    for body in bodies:
        for k, value in ((0, -2.0), (0, 2.0), (1, -2.0), (1, 2.0)):
            middle.append(draw(body, down, value * np.eye(10)[k], FRONT, 150, (155, 320), False))
    low, high = np.nan_to_num(LIMITS_RAD).T
    random = np.random.default_rng(3)
    poses = [low + (high - low) * (0.5 + 0.35 * random.uniform(-1, 1, 46)) for _ in range(20)]
    rows = [top, middle]
    for start in range(0, 20, 10):
        for view in (FRONT, SIDE, BACK):
            rows.append([draw(bodies[n % 2], poses[start + n], zero, view, 75, (124, 160), view is SIDE) for n in range(10)])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


if __name__ == "__main__":
    target = ROOT / "docs" / "images" / "open_body.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.round(np.clip(sheet(), 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).quantize(96, dither=Image.Dither.NONE).save(target, optimize=True)
