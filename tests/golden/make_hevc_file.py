"""Write two frames of HEVC as phones do: python make_hevc_file.py (needs av with libx265)."""

from pathlib import Path

import av
import numpy as np

with av.open(str(Path(__file__).parent / "two_frames_hevc.mov"), "w") as container:
    # Without bframes=0, libx265 in PyAV 18 fails four times out of five.
    stream = container.add_stream("libx265", rate=30, options={"x265-params": "log-level=none:bframes=0"})
    stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:48, :64], picture[:48, 64:], picture[48:, :64] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    for _ in range(2):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
