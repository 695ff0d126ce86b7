"""A short attack on every reader; ``tests/fuzz/run.py`` runs longer ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "fuzz" / "run.py"
SECONDS = 30


@pytest.mark.slow
def test_readers_bear_damaged_files(tmp_path: Path) -> None:
    """In a process of its own: a native library could end this one."""
    words = [sys.executable, str(RUN), "--seconds", str(SECONDS), "--keep", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.endswith("\n0 faults\n")
