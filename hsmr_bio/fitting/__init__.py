"""Fits on the kinematic tree: keypoints, ground, SKELify, SMPL, markers."""
