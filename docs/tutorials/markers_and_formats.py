# % # Markers, animation and other formats
# %
# % Inverse kinematics computes the motion from the markers of a motion capture laboratory and a model with markers of the same
# % names. Here the markers are computed from a known motion of the shipped model, with 3 mm of noise and a gap.

import numpy as np
import torch

import hsmr_bio as hb
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.registry import convert
from hsmr_bio.fitting.markers.inverse_kinematics import marker_errors

model = hb.bsm()
names = list(model.coordinates)
time_s = np.arange(0, 1, 1 / 100)
values = np.repeat(model.default_si[None], len(time_s), axis=0)
values[:, names.index("knee_angle_r")] = 0.5 + 0.4 * np.sin(6 * time_s)
values[:, names.index("hip_flexion_r")] = 0.3 * np.sin(6 * time_s)
values[:, names.index("pelvis_rotation")] = 5 * time_s
tree = model.tree()
bodies = [tree.bodies.index(marker.body) for marker in model.markers.values()]
local_m = torch.tensor([marker.position_m for marker in model.markers.values()], dtype=torch.float64)
positions_m = tree.forward(values).points(bodies, local_m).numpy()
positions_m += np.random.default_rng(0).normal(0, 0.003, positions_m.shape)
positions_m[40:60, :5] = np.nan
markers = hb.Markers(time_s=time_s, names=tuple(model.markers), positions_m=positions_m)

motion = hb.inverse_kinematics(markers, model)
errors = marker_errors(motion, model, markers)
knee_deg = np.degrees(np.abs(motion.column("knee_angle_r") - values[:, names.index("knee_angle_r")]).max())
print(f"{len(errors.names)} markers, RMS {1000 * errors.rms_m:.1f} mm; the knee is at most {knee_deg:.1f} degrees off")

# % With `backend="opensim"` OpenSim's own tool is used. On the command line `hsmr-bio ik walk.trc --model walk.osim --compare`
# % prints the difference between the two.
# %
# % `convert` converts a file to another format. The first file is recognised by its content; the result lists what the second
# % file cannot hold.

model.write("walk.osim")
hb.write_mot("walk.mot", motion)
for target in ("walk.trc", "walk.bvh", "walk.glb"):
    done = convert("walk.mot", target)
    print(f"{done.source} -> {done.target}; lost: {'; '.join(done.lost)}")

# % A SKEL motion is written as an animated body for Blender, Unity or a browser: its skin, its bones, or both with a
# % transparent skin.

body = hb.load_body()
poses = np.zeros((30, 46))
poses[:, hb.skeleton.DOF_NAMES.index("hip_flexion_r")] = 0.5 * np.sin(np.arange(30) / 5)
still = np.tile([0.0, 0.95, 0.0], (30, 1))
skel = hb.SkelMotion(
    time_s=np.arange(30) / 30, poses_rad=poses, trans_m=still, betas=np.zeros(10), body=body.name, frame="world"
)
hb.save_motion("swing_skel.npz", skel)
done = convert("swing_skel.npz", "swing.glb", ConvertOptions(parts=("skin", "bones")))
print(f"lost: {'; '.join(done.lost)}")

# % A conversion that is not possible is refused; the message names the command that helps.

try:
    convert("walk.trc", "walk_again.glb")
except hb.errors.HsmrBioError as error:
    print(error)
