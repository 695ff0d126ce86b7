# % # The steps one by one
# %
# % `image2mot` performs all steps; each step is a public function that can be called alone. This page starts with SKEL
# % parameters, as a fit, HSMR or an alignment gives them.

import numpy as np

import hsmr_bio as hb
from hsmr_bio.skeleton import DOF_NAMES

body = hb.load_body("open", sex="female")
betas = np.array([0.6, -0.4, 0, 0, 0, 0, 0, 0, 0, 0])
print(body.name)

# % **Scale.** The OpenSim model of a person is scaled from ten betas: joint centres, masses, inertias, markers.

subject = hb.scale_model(body, betas, mass_kg=61.0, name="ann")
print(f"{subject.stature_m:.3f} m, {subject.mass_kg:.1f} kg ({subject.mass_source})")
print(f"femur {subject.scale_factors['femur_r'][1]:.3f}, tibia {subject.scale_factors['tibia_r'][1]:.3f} of the generic model")

# % **Map.** The angles of SKEL and BSM have the same names but different zeros: the map computes the angles that put BSM's
# % bones where SKEL's bones are.

time_s = np.arange(0, 2, 1 / 50)
poses = np.zeros((len(time_s), 46))
swing = 0.4 * np.sin(2 * np.pi * time_s)
for name, values in {
    "hip_flexion_r": swing,
    "hip_flexion_l": -swing,
    "knee_angle_r": 0.3 + 0.3 * np.sin(2 * np.pi * time_s),
    "knee_angle_l": 0.3 - 0.3 * np.sin(2 * np.pi * time_s),
    "shoulder_r_x": np.full_like(swing, 1.2),
    "shoulder_l_x": np.full_like(swing, -1.2),
}.items():
    poses[:, DOF_NAMES.index(name)] = values
skel = hb.SkelMotion(
    time_s=time_s, poses_rad=poses, trans_m=np.zeros((len(time_s), 3)), betas=betas, body=body.name, frame="world"
)
motion = hb.to_coordinates(skel, subject, body)
residual_mm = 1000 * np.sqrt(np.mean(motion.residual_m**2))
residual_deg = np.rad2deg(np.sqrt(np.mean(motion.residual_rad**2)))
print(f"residual: {residual_mm:.2f} mm, {residual_deg:.2f} deg")

skel_knee = np.rad2deg(poses[:, DOF_NAMES.index("knee_angle_r")]).max()
print(f"SKEL's knee {skel_knee:.1f} deg, BSM's {np.rad2deg(motion.column('knee_angle_r')).max():.1f} deg")


# % **Markers** of the model, and **files** that OpenSim opens.

markers = hb.virtual_markers(motion, subject)
hb.write_mot("ann.mot", motion)
hb.write_trc("ann.trc", markers)
print(len(markers.names), "markers in", len(markers.time_s), "frames")

# % **Back.** The inverse map gives SKEL's angles.

again = hb.to_skel(motion, subject, body)
error = np.rad2deg(again.poses_rad - skel.poses_rad)
print(f"hip and knee angles differ by at most {np.abs(error[:, [3, 6, 10, 13]]).max():.2f} deg")
