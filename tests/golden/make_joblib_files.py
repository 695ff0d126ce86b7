"""Made joblib_arrays.pkl and joblib_arrays_zlib.pkl with joblib 1.6.0 and numpy 2.4.6, which this package does not need."""

from pathlib import Path

import joblib
import numpy as np

FOLDER = Path(__file__).parent
poses = np.arange(6.0).reshape(2, 3)
content = {
    0: {
        "pose": poses,
        "fortran": np.asfortranarray(poses.astype(np.float32)),
        "objects": np.array([{"a": 1}, None], dtype=object),
        "scalar": np.float32(2),
        "after": "text",
    }
}
joblib.dump(content, FOLDER / "joblib_arrays.pkl")
joblib.dump(content, FOLDER / "joblib_arrays_zlib.pkl", compress=3)
