# % # Files and units
# %
# % Inside the package all values are in metres, seconds and radians. Degrees and millimetres exist only in files, whose
# % headers state them: `inDegrees` in a `.mot`, `Units` in a `.trc`.

import numpy as np

import hsmr_bio as hb

time_s = np.arange(0, 1, 1 / 60)
motion = hb.OsimMotion(
    time_s=time_s,
    coordinates=("knee_angle_r", "pelvis_ty"),
    values_si=np.stack([0.5 + 0.5 * np.sin(6 * time_s), np.full_like(time_s, 0.94)], axis=1),
    rotational=np.array([True, False]),
)
hb.write_mot("walk.mot", motion)
with open("walk.mot") as file:
    print("".join(file.readlines()[:8]))

# % In the file the knee angle is in degrees, the height of the pelvis in metres. Reading converts to radians again.

back = hb.read_mot("walk.mot")
print(np.abs(back.values_si - motion.values_si).max() < 1e-9)

# % If a name does not show whether the coordinate is an angle or a length, reading fails instead of guessing. With the model
# % (`hb.read_mot(path, model)`), the model decides.

try:
    with open("odd.mot", "w") as file:
        file.write("odd\ninDegrees=yes\nendheader\ntime\tslider\n0\t1\n")
    hb.read_mot("odd.mot")
except hb.errors.HsmrBioError as error:
    print(error)

# % Positions of markers that were not seen are NaN in memory and empty cells in the file.

markers = hb.Markers(
    time_s=time_s[:2], names=("RASI", "C7"), positions_m=[[[0.1, 0.9, 0.1], [0, 1.4, 0]], [[np.nan] * 3, [0, 1.4, 0]]]
)
hb.write_trc("markers.trc", markers, unit="mm")
with open("markers.trc") as file:
    print("\n".join(file.read().splitlines()[2:]))
print(hb.read_trc("markers.trc").positions_m[0])

# % A damaged file raises one error, which names the line.

with open("walk.mot") as file:
    lines = file.read().splitlines()
lines[20] = lines[20].replace("0.9", "O.9")
with open("broken.mot", "w") as file:
    file.write("\n".join(lines))
try:
    hb.read_mot("broken.mot")
except hb.errors.FormatError as error:
    print(error)
