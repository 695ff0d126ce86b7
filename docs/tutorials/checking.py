# % # Check a motion
# %
# % `check_motion` compares a motion with thresholds and states the source of each. Checks that are not possible are listed
# % with the reason. Here the generic BSM model steps on the spot.

import numpy as np

import hsmr_bio as hb

model = hb.bsm()
names = tuple(model.coordinates)
time_s = np.arange(0, 3, 1 / 60)
values = np.tile(model.default_si, (len(time_s), 1))


def put(name, angle_deg):
    values[:, names.index(name)] = np.deg2rad(angle_deg)


phase = 2 * np.pi * time_s
for side, start in (("r", 0.0), ("l", np.pi)):
    lift = np.clip(np.sin(phase + start), 0, None) ** 2
    put(f"hip_flexion_{side}", 30 * lift)
    put(f"knee_angle_{side}", 60 * lift)
motion = hb.OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=model.rotational)
print(hb.check_motion(motion, model).text())

# % Now an error: in one frame the knee is hyperextended by 25 degrees.

values[100, names.index("knee_angle_r")] = np.deg2rad(-25)
broken = hb.OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=model.rotational)
report = hb.check_motion(broken, model)
print(report.status, report["joint limits"].detail)
print(report["jumps"].value, report["jumps"].detail)

# % Limits alone, with your own ranges in radians:

limits = hb.check_limits(broken, {"knee_angle_r": (0.0, 2.0), "knee_angle_l": (0.0, 2.0)})
print(limits.text())

# % The same report is JSON with `report.to_json()`, and a command: `hsmr-bio check walk.mot --json`.
