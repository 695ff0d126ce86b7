"""Photograph a motion in the window of OpenSim's visualizer: python in_opensim.py MODEL MOTION PICTURE SECONDS...

Needs a display (Xvfb will do); one pose for each time, side by side.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import opensim
from PIL import Image, ImageGrab

from hsmr_bio import read_mot

_CROP_PX = (495, 80, 865, 640)
"""Where the person stands on a screen of 1100 x 800 pixels: the window is 800 x 600 at (150, 50)."""


def main(model_path: Path, motion_path: Path, picture: Path, times_s: list[float]) -> None:
    """Place the model at each time, look at it from the side, and take the screen's picture."""
    opensim.Logger.setLevelString("Error")
    opensim.ModelVisualizer.addDirToGeometrySearchPaths(str(model_path.parent / "Geometry"))
    model = opensim.Model(str(model_path))
    model.setUseVisualizer(True)
    state = model.initSystem()
    window = model.updVisualizer().updSimbodyVisualizer()
    window.setBackgroundType(window.SolidColor)
    window.setBackgroundColor(opensim.Vec3(1))
    window.setShowShadows(False)
    motion = read_mot(motion_path)
    shots = []
    for time_s in times_s:
        row = motion.values_si[int(np.argmin(np.abs(motion.time_s - time_s)))]
        values = dict(zip(motion.coordinates, row.tolist(), strict=True))
        for name, value in values.items():
            model.getCoordinateSet().get(name).setValue(state, value, False)
        model.assemble(state)
        at = opensim.Vec3(values["pelvis_tx"] + 1.5, 0.95, values["pelvis_tz"] + 2.35)
        turn = opensim.Rotation(0.57, opensim.CoordinateAxis(1))
        window.setCameraTransform(opensim.Transform(turn, at))
        for _ in range(6):
            model.updVisualizer().show(state)
            time.sleep(0.5)
        shots.append(ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).crop(_CROP_PX))
    row = Image.new("RGB", (sum(shot.width for shot in shots), shots[0].height))
    for i, shot in enumerate(shots):
        row.paste(shot, (i * shot.width, 0))
    row.save(picture, quality=85)
    sys.stdout.flush()
    os._exit(0)  # the visualizer does not let the program end in its own way


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), [float(word) for word in sys.argv[4:]])
