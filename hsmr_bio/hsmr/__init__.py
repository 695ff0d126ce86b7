"""The network of HSMR (Xia et al., CVPR 2025), implemented independently: image patch to SKEL pose, shape and camera."""
