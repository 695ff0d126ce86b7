"""Checks of a motion: limits, measures, thresholds and verdicts."""
