"""Training of the HSMR network: augmentation, losses, rounds of pseudo labels, and the loop."""
