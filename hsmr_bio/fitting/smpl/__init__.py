"""From SMPL motion to SKEL motion."""
