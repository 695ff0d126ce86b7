# % # From video to joint moments
# %
# % In a part of the demo clip the person squats. One call converts this part to a scaled model and its motion; with
# % `dynamics=True` forces and moments are computed too.

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

# % ## Ground reaction
# %
# % The ground reaction was not measured. It is estimated from the motion: Newton's laws give the total force and moment. They
# % are distributed to the feet in contact with the floor, such that no foot pulls or slips and the centres of pressure lie
# % under the soles.

vertical = result.ground.force_n[..., 1] / result.ground.body_weight_n
for time_s in np.arange(0.25, 2.3, 0.5):
    right, left = vertical[np.argmin(np.abs(result.time_s - time_s))]
    print(f"{time_s:.2f} s   right {right:.2f}   left {left:.2f} body weights")
print(f"mean of both together: {vertical.sum(axis=1).mean():.3f} body weights")

# % ## Moments
# %
# % Net moments of all internal forces, per kilogram. Extension moments are negative at hip and knee.

table = result.to_frame(per_kg=True)
names = [f"{joint}_{side}_moment_nm_per_kg" for joint in ("hip_flexion", "knee_angle", "ankle_angle") for side in "rl"]
print(table[names].describe().loc[["min", "mean", "max"]].T.round(2))
work = {name: np.round(np.array(parts) / result.mass_kg, 2) for name, parts in result.work_j().items()}
print(f"work of the right knee: {work['knee_angle_r'][1]} J/kg downwards, {work['knee_angle_r'][0]} J/kg upwards")

# % ## Accuracy
# %
# % The residual is the external force that no contact with the floor explains. With one camera depth is least accurate, so most
# % of the residual points towards the camera. If these checks fail, the moments are rough estimates only.

print(check_dynamics(result).text())

# % The same from a terminal: `hsmr-bio image2mot demo.mp4 -o out --dynamics`; or afterwards from the files:
# % `hsmr-bio id out/demo.mot --estimate -o out` (with measured forces: `--loads`). The report shows the curves.
