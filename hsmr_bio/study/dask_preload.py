"""Loaded by Dask's workers: Ctrl-C is for the command alone, which then ends its workers in order."""

from __future__ import annotations

import signal
import threading


def dask_setup(_worker: object) -> None:
    """Ignore Ctrl-C in a worker."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
