"""From a motion in the camera frame to the world: gravity, floor, standing feet, smoothing."""
