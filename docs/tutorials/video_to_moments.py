# % # From video to joint moments
# %
# % The demo clip shows one person who, among other things, does a squat. One call turns that part of the clip into a
# % scaled model and its motion; `dynamics=True` goes on to forces and moments.

import os
from pathlib import Path

import numpy as np

import hsmr_bio as hb
from hsmr_bio.dynamics.checks import check_dynamics

clip = Path(os.environ["HSMR_BIO_DOCS"]).parent / "examples" / "demo.mp4"
squat = hb.EstimateOptions(start_s=2.4, end_s=4.9)
person = hb.image2mot(clip, "out", hb.Image2MotOptions(estimate=squat, mass_kg=70.0, dynamics=True))
result = person.dynamics
print(", ".join(sorted(path.name for path in person.paths)))

# % ## What the floor did
# %
# % Nobody measured the ground reaction. It is found from the motion: Newton's laws give its sum and its moment, and the
# % feet that stand on the floor share it without pulling, without slipping, and under their soles.

vertical = result.ground.force_n[..., 1] / result.ground.body_weight_n
for time_s in np.arange(0.25, 2.3, 0.5):
    right, left = vertical[np.argmin(np.abs(result.time_s - time_s))]
    print(f"{time_s:.2f} s   right {right:.2f}   left {left:.2f} body weights")
print(f"mean of both together: {vertical.sum(axis=1).mean():.3f} body weights")

# % ## Moments
# %
# % Net moments of everything that acts inside the body, per kilogram. Extension is negative at hip and knee.

table = result.to_frame(per_kg=True)
names = [f"{joint}_{side}_moment_nm_per_kg" for joint in ("hip_flexion", "knee_angle", "ankle_angle") for side in "rl"]
print(table[names].describe().loc[["min", "mean", "max"]].T.round(2))
work = {name: np.round(np.array(parts) / result.mass_kg, 2) for name, parts in result.work_j().items()}
print(f"work of the right knee: {work['knee_angle_r'][1]} J/kg on the way down, {work['knee_angle_r'][0]} J/kg up")

# % ## How far to trust it
# %
# % The residual is what no contact with the floor explains. One camera measures depth worst, so most of the residual
# % points towards the camera. Moments of a motion that fails here are a sketch, not a measurement.

print(check_dynamics(result).text())

# % The same from a terminal: `hsmr-bio image2mot demo.mp4 -o out --dynamics`, or later, on the files or with measured
# % forces: `hsmr-bio id out/demo.mot --estimate -o out`. The report shows the curves.
