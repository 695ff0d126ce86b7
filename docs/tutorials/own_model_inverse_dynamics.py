# % # Your own model, motion and forces
# %
# % Inverse dynamics needs three files: a scaled model (`.osim`), its motion (`.mot`) and the forces of the force plates.
# % This page creates them itself, so that it runs anywhere: the generic BSM model does two squats.

from pathlib import Path

import numpy as np
import torch

import hsmr_bio as hb
from hsmr_bio.dynamics import ground_reaction
from hsmr_bio.dynamics.checks import check_dynamics
from hsmr_bio.dynamics.results import write_dynamics
from hsmr_bio.dynamics.setup_files import write_loads

model = hb.bsm()
model.write(Path("me.osim"))
names = list(model.coordinates)
time_s = np.arange(0, 5, 0.01)
values = np.tile(model.default_si, (len(time_s), 1))
depth = 0.35 * (1 - np.cos(np.pi * np.clip(time_s - 0.5, 0, 4)))  # 0 to 0.7 rad, half a second of standing at both ends
for side in "rl":
    values[:, names.index(f"hip_flexion_{side}")] = 1.5 * depth
    values[:, names.index(f"knee_angle_{side}")] = 2.0 * depth
    values[:, names.index(f"ankle_angle_{side}")] = 1.0 * depth
values[:, names.index("pelvis_tilt")] = -0.5 * depth  # the trunk leans forward, the feet stay flat

# % The feet must not move: the pelvis is shifted by the displacement of the right foot.

tree = model.tree()
pose = tree.forward(torch.tensor(values[:, [names.index(name) for name in tree.coordinates]]))
foot_m = pose.positions_m[:, tree.bodies.index("calcn_r")].numpy()
values[:, names.index("pelvis_tx")] -= foot_m[:, 0]
values[:, names.index("pelvis_ty")] -= foot_m[:, 1] - 0.02
squat = hb.OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=model.rotational)
hb.write_mot("squat.mot", squat)
write_loads("plates.xml", ground_reaction(squat, model).loads)  # instead of two measured force plates

# % ## Inverse dynamics
# %
# % `loads` may be OpenSim's ExternalLoads `.xml`, a table of forces (`.mot`, `.sto`), a `.c3d` with force plates, or
# % arrays. Forces without a body are assigned to the foot above their centre of pressure.

result = hb.inverse_dynamics("squat.mot", "me.osim", "plates.xml", cutoff_hz=6)
table = result.to_frame(per_kg=True)
names = [f"{joint}_r_moment_nm_per_kg" for joint in ("hip_flexion", "knee_angle", "ankle_angle")]
print(table[names].iloc[::50].round(3))

# % Positive and negative work of the knee in J, and checks of the agreement of model, motion and forces (thresholds: Hicks et
# % al. 2015):

print({name: np.round(work, 1).tolist() for name, work in result.work_j().items() if name.startswith("knee")})
print(check_dynamics(result).text())

# % ## Without force plates
# %
# % With `"estimate"` the ground reaction is computed from the motion by Newton's laws and distributed to the feet.

estimated = hb.inverse_dynamics("squat.mot", "me.osim", "estimate")
vertical = estimated.ground.force_n[..., 1].sum(axis=1) / estimated.ground.body_weight_n
print(f"vertical force: {vertical.min():.2f} to {vertical.max():.2f} body weights, mean {vertical.mean():.3f}")

# % ## A second engine, and OpenSim's own tool
# %
# % For BSM models nimblephysics repeats the computation without any code of OpenSim. Among the files of `write_dynamics` is
# % `NAME_setup_id.xml`; OpenSim's Inverse Dynamics Tool computes the same values from it.

second = hb.inverse_dynamics("squat.mot", "me.osim", "plates.xml", backend="nimble")
print(f"largest difference between the engines: {np.abs(result.values_si - second.values_si).max():.3f} N m or N")
for path in write_dynamics(".", result, name="squat", model_file="me.osim", motion_file="squat.mot"):
    print(path)

# % The same from a terminal: `hsmr-bio id squat.mot --model me.osim --loads plates.xml -o out`.
