"""Files of an inverse dynamics, and its figures for reports and scripts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..io.sto import write_sto
from ..io.table import Table, write_table
from .checks import check_dynamics
from .inverse_dynamics import InverseDynamics
from .setup_files import write_id_setup, write_loads


def write_dynamics(
    folder: str | os.PathLike[str],
    result: InverseDynamics,
    *,
    name: str,
    model_file: str,
    motion_file: str,
    per_kg: bool = False,
) -> tuple[Path, ...]:
    """Write ``NAME_id.sto``, ``NAME_power.sto``, the loads (``NAME_loads.xml`` and ``.mot``) and ``NAME_setup_id.xml``.

    Existing files are replaced.

    Args:
        folder: existing folder.
        result: of :func:`inverse_dynamics`.
        name: first part of the file names.
        model_file: path of the model relative to ``folder``, for the setup.
        motion_file: path of the unfiltered motion relative to ``folder``, for the setup.
        per_kg: whether to divide forces and powers by the body's mass.

    Returns:
        The files.
    """
    target = Path(folder)
    forces, power = target / f"{name}_id.sto", target / f"{name}_power.sto"
    scale, unit = (result.mass_kg, "/kg") if per_kg else (1.0, "")
    write_sto(
        forces,
        result.per_kg() if per_kg else result,
        title=f"Inverse Dynamics Generalized Forces (N m{unit}, N{unit})",
    )
    columns = tuple(f"{coordinate}_power" for coordinate in result.coordinates)
    table = Table(
        title=f"Joint powers (W{unit})",
        time_s=result.time_s,
        columns=columns,
        values=result.power_w / scale,
        in_degrees=False,
    )
    write_table(power, table)
    written = [forces, power]
    loads_file: str | None = None
    if result.loads is not None:
        loads_file = f"{name}_loads.xml"
        written += [target / loads_file, write_loads(target / loads_file, result.loads)]
    setup = target / f"{name}_setup_id.xml"
    write_id_setup(
        setup,
        model_file=model_file,
        motion_file=motion_file,
        time_range_s=(float(result.time_s[0]), float(result.time_s[-1])),
        cutoff_hz=result.cutoff_hz,
        loads_file=loads_file,
        result_file=f"{name}_id_opensim.sto",
    )
    return (*written, setup)


def summary(result: InverseDynamics) -> dict[str, Any]:
    """Return the figures of an inverse dynamics as JSON values: peaks, work, ground reaction, residuals, checks, assignment.

    Moments are in N m/kg, powers in W/kg, work in J/kg; forces in body weights.
    """
    mass = result.mass_kg
    work = result.work_j()
    joints = {}
    for k, name in enumerate(result.coordinates):
        if name not in result.base_coordinates:
            values, power = result.values_si[:, k] / mass, result.power_w[:, k] / mass
            joints[name] = {
                "peak_per_kg": [float(values.min()), float(values.max())],
                "peak_power_w_per_kg": [float(power.min()), float(power.max())],
                "work_j_per_kg": [part / mass for part in work[name]],
            }
    found: dict[str, Any] = {"engine": result.engine, "mass_kg": mass, "frames": len(result.time_s), "joints": joints}
    if result.loads is not None:
        found["loads"] = result.loads.source
        found["assignment"] = [vars(entry) | {"text": str(entry)} for entry in result.loads.assignments]
    if result.residuals is not None:
        parts = result.residuals
        found["residuals"] = {
            "peak_force_share": parts.force_share,
            "peak_moment_share": parts.moment_share,
            "rms_force_bw": parts.force_rms_bw,
            "rms_moment_bw_h": parts.moment_rms_bw_h,
        }
        found["checks"] = check_dynamics(result).to_json()
    if result.ground is not None:
        vertical = result.ground.force_n[..., 1] / result.ground.body_weight_n
        found["ground"] = {
            "peak_vertical_bw": {"r": float(vertical[:, 0].max()), "l": float(vertical[:, 1].max())},
            "mean_vertical_bw": float(np.mean(vertical.sum(axis=1))),
            "flight_share": float(np.mean(result.ground.flight)),
        }
    return found
