"""Grounding: from the camera frame to the world: gravity, floor, feet in contact, constant rate."""
