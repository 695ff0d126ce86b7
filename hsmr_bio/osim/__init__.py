"""OpenSim models: read, edited, evaluated, generated."""
