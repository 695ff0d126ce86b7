"""Inverse kinematics: coordinates of any OpenSim model from measured markers."""
