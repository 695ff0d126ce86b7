"""SKELify: SKEL parameters of single images from 2-D keypoints, the objective of the HSMR paper."""
