"""Video fit: from an estimator's observation of a person to one body and its motion in the camera frame."""
