"""Make the pictures of docs/gallery.md from examples/demo.mp4: python tools/gallery/make.py [FOLDER FOR THE RESULTS].

Needs Xvfb (with Mesa) for OpenSim's visualizer, Chromium for the report, and Blender for the .glb.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

import hsmr_bio as hb

HERE, ROOT = Path(__file__).resolve().parent, Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images"
TIMES_S = ("0.9", "1.7", "3.4", "5.1")
ANGLES = ("hip_flexion", "knee_angle", "ankle_angle", "elbow_flexion")


def in_opensim(work: Path) -> None:
    """Photograph the model with its motion in OpenSim's visualizer, on a screen in memory."""
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1100x800x24", "-nolisten", "tcp"]
    screen = subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        environment = {**os.environ, "DISPLAY": f":{pipe.readline().strip()}", "LIBGL_ALWAYS_SOFTWARE": "1"}
    files = [str(path) for path in (work / "demo.osim", work / "demo.mot", PICTURES / "gallery_opensim.jpg")]
    program = [sys.executable, str(HERE / "in_opensim.py"), *files, *TIMES_S]
    player = subprocess.Popen(program, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        if player.wait(timeout=300):
            raise SystemExit("OpenSim's visualizer failed")
    finally:
        os.killpg(player.pid, signal.SIGKILL)  # the window is a process of its own
        screen.terminate()


def report(work: Path) -> None:
    """Photograph the first screen of the report in Chromium."""
    sys.path.append(str(ROOT / "tests" / "browser"))
    from devtools import Page

    url = (work / "demo_report.html").as_uri()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Page(url, Path(profile)) as page:
        page.wait_for("[...document.images].every(image => image.complete)")
        page.screenshot(work / "report.png")
    shot = Image.open(work / "report.png").convert("RGB")
    shot.thumbnail((1000, 1400))
    shot.save(PICTURES / "gallery_report.jpg", quality=80)


def in_blender(work: Path) -> None:
    """Write skin and bones with their animation as .glb, and render four moments in Blender."""
    command = [sys.executable, "-m", "hsmr_bio", "convert", "demo_skel.npz", "demo.glb", "--overwrite"]
    subprocess.run(command, cwd=work, check=True)
    command = ["blender", "--background", "--python-exit-code", "1", "--python", str(HERE / "in_blender.py"), "--"]
    subprocess.run([*command, str(work / "demo.glb"), str(work), *TIMES_S], stdout=subprocess.DEVNULL, check=True)
    shots = [Image.open(work / f"{i}.png").convert("RGB") for i in range(len(TIMES_S))]
    row = Image.fromarray(np.concatenate([np.asarray(shot) for shot in shots], axis=1))
    row.save(PICTURES / "gallery_blender.jpg", quality=85)


def angles(motion: hb.OsimMotion) -> None:
    """Plot some angles of the right side with their standard deviation, next to the truth of the rendered clip."""
    mpl.use("agg")
    from matplotlib import pyplot

    truth = hb.read_mot(ROOT / "examples" / "demo_truth.mot")
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 5), sharex=True, layout="constrained")
    for axis, name in zip(axes.flat, (f"{angle}_r" for angle in ANGLES), strict=True):
        found = np.degrees(motion.column(name))
        axis.plot(truth.time_s, np.degrees(truth.column(name)), "k--", linewidth=1, label="truth")
        axis.plot(motion.time_s, found, label="found")
        if motion.sd_si is not None:
            sd = np.degrees(motion.sd_si[:, motion.coordinates.index(name)])
            axis.fill_between(motion.time_s, found - sd, found + sd, alpha=0.25, label="± standard deviation")
        axis.set_title(f"{name} (degrees)", fontsize=10)
    axes[0, 0].legend(fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel("time (s)")
    figure.savefig(PICTURES / "gallery_angles.png", dpi=100)


def main(work: Path) -> None:
    """Run the demo and make all pictures."""
    for program in ("Xvfb", "chromium", "blender"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed")
    result = hb.image2mot(ROOT / "examples" / "demo.mp4", work, hb.Image2MotOptions(overwrite=True))
    angles(result.motion)
    report(work)
    in_opensim(work)
    in_blender(work)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).resolve())
