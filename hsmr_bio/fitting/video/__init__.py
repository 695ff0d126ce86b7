"""From what an estimator saw of a person to one body and its motion in the camera frame."""
