"""Runs ``hsmr-bio`` as ``python -m hsmr_bio``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
