"""From one video to OpenSim: scaled model, motion, markers, report."""

import logging

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())
