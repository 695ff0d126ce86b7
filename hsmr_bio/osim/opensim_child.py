"""A program of its own: loads a model with OpenSim, and writes it as OpenSim 4 writes it.

It runs in a process of its own because damaged models can end the process in which OpenSim reads them. It imports nothing of
this package. Arguments: ``update IN OUT`` or ``try IN``. The last line on standard error says why it failed.
"""

from __future__ import annotations

import os
import sys

NOT_INSTALLED = 5
"""Exit code if OpenSim cannot be imported."""
_MEMORY_BYTES = 8 << 30
"""Address space of the process where the system can limit it: a model and OpenSim's libraries take below 2 GB of it."""


_DIGITS = 17
"""Digits that keep every number exactly; OpenSim writes the knots of splines with 8."""


def main(task: str, source: str, target: str = "") -> int:
    """Load a model; write it, or build its system without muscles, contacts and other forces.

    Args:
        task: ``update`` or ``try``.
        source: the model's file.
        target: the file to write.

    Returns:
        The exit code.
    """
    _limit_memory()
    try:
        import opensim
    except ImportError as error:
        sys.stderr.write(f"\n{error}\n")
        return NOT_INSTALLED
    opensim.Logger.setLevelString("Off")
    try:
        model = opensim.Model(source)
        if task == "update":
            model.finalizeConnections()
            opensim.IO.SetGFormatForDoubleOutput(True)
            opensim.IO.SetPrecision(_DIGITS)
            model.printToXML(target)
        else:
            for name in ("ForceSet", "ControllerSet", "ProbeSet", "ContactGeometrySet"):
                getattr(model, f"upd{name}")().clearAndDestroy()
            model.initSystem()
    except (RuntimeError, TypeError, AttributeError) as error:
        sys.stderr.write(f"\n{' '.join(str(error).split())}\n")
        return 1
    return 0


def _limit_memory() -> None:
    """Bound the memory; systems without such limits go on without."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        return


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # OpenSim's libraries may crash when they are unloaded
