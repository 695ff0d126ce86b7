"""``python -m hsmr_bio`` is ``hsmr-bio``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
