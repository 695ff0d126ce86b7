"""ONNX Runtime sessions of the networks in the package."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from hsmr_bio.errors import require

log = logging.getLogger(__name__)
DATA = Path(__file__).parent / "data"
_FEATURE = "the blazepose estimator"
Session = Any
"""``onnxruntime.InferenceSession``."""
_CUDA = "CUDAExecutionProvider"
_FATAL_ONLY = 4
"""Severity from which ONNX Runtime writes to the terminal; errors are raised."""


def open_network(name: str, *, threads: int, device: str = "cpu") -> Session:
    """Load a network of the package.

    Args:
        name: of the file in ``data``, without its suffix.
        threads: that one call may use.
        device: ``cpu``, or ``cuda``, ``cuda:1`` ... for ONNX Runtime's CUDA provider. If that does not load, or for another
            device, the processor is used, and one warning says so.

    Returns:
        The session.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
    """
    runtime: Any = require("onnxruntime", feature=_FEATURE)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the other core alone
    kind, _, number = device.partition(":")
    providers: list[Any] = ["CPUExecutionProvider"]
    if kind == "cuda" and _CUDA in runtime.get_available_providers():
        providers.insert(0, (_CUDA, {"device_id": int(number or 0)}))
    session = runtime.InferenceSession(str(DATA / f"{name}.onnx"), options, providers=providers)
    if kind != "cpu" and _CUDA not in session.get_providers():
        _warn_once(_advice(runtime, kind))
    return session


@cache
def _warn_once(advice: str) -> None:
    log.warning("the pose networks run on the processor: %s", advice)


def _advice(runtime: Any, kind: str) -> str:  # noqa: ANN401 - an untyped module
    if kind != "cuda":
        return f"the device {kind} is not used for the pose networks, only cpu and cuda are"
    if _CUDA in runtime.get_available_providers():
        return "ONNX Runtime's CUDA provider does not load. Its documentation says which CUDA and cuDNN it needs"
    return "the installed ONNX Runtime has no CUDA provider. For the graphics card: pip install onnxruntime-gpu in its place"
