"""The network of HSMR (Xia et al., CVPR 2025), from our own code: patch to SKEL pose, shape and camera."""
