"""Checks of a motion: joint limits, measures, thresholds and verdicts."""
