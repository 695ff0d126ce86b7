# % # Gait parameters of a folder
# %
# % `analyse` finds steps, squats, rises from a seat and jumps in any motion whose model has OpenSim's common names of bodies,
# % and measures them. This page makes its own clips, so that it runs anywhere: the generic BSM model walks with three cadences.

from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline

import hsmr_bio as hb

model = hb.bsm()
tree = model.tree()
names = list(tree.coordinates)
percent = {"hip_flexion": [0, 54, 89], "knee_angle": [0, 13, 42, 74], "ankle_angle": [0, 6, 46, 65, 85]}
degrees = {"hip_flexion": [30, -8, 32], "knee_angle": [1, 16, 4, 62], "ankle_angle": [0, -4, 12, -14, 6]}


def walk(cadence):
    time_s = np.arange(0, 6, 0.01)
    values = np.tile(model.default_si, (len(time_s), 1))
    for side, lag in (("r", 0.0), ("l", 0.5)):
        for name, at in percent.items():
            curve = CubicSpline([*at, 100], np.radians([*degrees[name], degrees[name][0]]), bc_type="periodic")
            values[:, names.index(f"{name}_{side}")] = curve(100 * ((time_s * cadence / 120 + lag) % 1))
    feet = [tree.bodies.index(body) for body in ("calcn_r", "toes_r", "calcn_l", "toes_l")]
    points = tree.forward(torch.tensor(values)).positions_m[:, feet].numpy()
    lowest = points[..., 1].argmin(axis=1)  # the lowest point of the feet stands still on the floor
    steps = np.diff(points[..., 0], axis=0)[np.arange(len(time_s) - 1), lowest[1:]]
    values[:, names.index("pelvis_tx")] -= np.concatenate([[0], np.cumsum(steps)])
    values[:, names.index("pelvis_ty")] -= points[..., 1].min(axis=1) - 0.03
    return hb.OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=model.rotational)


clips = Path("clips")
clips.mkdir()
for cadence in (90, 105, 120):
    hb.write_mot(clips / f"walk_{cadence}.mot", walk(cadence))
    model.write(clips / f"walk_{cadence}.osim")

# % ## All clips in eight lines
# %
# % Peak knee flexion, cadence, speed and symmetry of every clip of a folder, with their standard deviations:

import pandas as pd  # noqa: E402

found = [hb.analyse(path) for path in sorted(clips.glob("*.mot"))]
table = pd.concat([one.to_frame() for one in found])
wanted = ["speed", "cadence", "knee_flexion_max", "symmetry_step_length"]
chosen = table[table["name"].isin(wanted)].pivot(index="clip", columns=["name", "side"], values=["value", "sd"])
print(chosen.round(3).T)

# % The same in a terminal: `hsmr-bio analyse clips/*.mot -o tables`. What was recognised, and the events with their deviations:

print(found[0].task, "-", found[0].why)
print(found[0].events_frame().drop(columns="note").head(6).round(3))

# % Cycles have 101 points; their mean leaves out what is marked.

right = found[0].cycles[0]
print(right, "knee at 0, 25, 50, 75 %:", right.mean_deg[::25, right.angles.index("knee_flexion")].round(1)[:4])
