"""Write the small files of this folder with OpenSim itself: python make_opensim_files.py (needs opensim 4.6).

The readers are tested against these: a round trip alone is blind to a mistake that reader and writer share.
"""

import os
from pathlib import Path

import numpy as np
import opensim as osim

HERE = Path(__file__).parent
TIME = np.arange(7) / 59.94
ANGLE_RAD = 0.5 * np.sin(7 * TIME)
HEIGHT_M = 0.9 + 0.01 * np.cos(5 * TIME)


def coordinates_table() -> osim.TimeSeriesTable:
    table = osim.TimeSeriesTable()
    table.setColumnLabels(["knee_angle_r", "pelvis_ty"])
    for time, angle, height in zip(TIME, ANGLE_RAD, HEIGHT_M, strict=True):
        table.appendRow(float(time), osim.RowVector([float(angle), float(height)]))
    return table


def main() -> None:
    os.chdir(HERE)
    table = coordinates_table()
    table.addTableMetaDataString("inDegrees", "no")
    osim.STOFileAdapter.write(table, "opensim_radians.sto")

    storage = osim.Storage()
    storage.setName("Coordinates")
    storage.setInDegrees(True)
    labels = osim.ArrayStr()
    for name in ("time", "knee_angle_r", "pelvis_ty"):
        labels.append(name)
    storage.setColumnLabels(labels)
    for time, angle, height in zip(TIME, ANGLE_RAD, HEIGHT_M, strict=True):
        storage.append(float(time), osim.Vector([float(np.rad2deg(angle)), float(height)]))
    osim.Storage.printResult(storage, "opensim_degrees", ".", -1, ".mot")

    model = osim.Model()
    model.setName("pendulum")
    body = osim.Body("shank", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    joint = osim.PinJoint("knee", model.getGround(), body)
    joint.updCoordinate().setName("knee_angle_r")
    model.addBody(body)
    model.addJoint(joint)
    state = model.initSystem()
    states = osim.StatesTrajectory()
    for time, angle in zip(TIME, ANGLE_RAD, strict=True):
        state.setTime(float(time))
        joint.updCoordinate().setValue(state, float(angle))
        states.append(state)
    exported = states.exportToTable(model)
    exported.addTableMetaDataString("inDegrees", "no")
    osim.STOFileAdapter.write(exported, "opensim_states.sto")

    markers = osim.TimeSeriesTableVec3()
    markers.setColumnLabels(["RASI", "heel r"])
    for i, (time, angle, height) in enumerate(zip(TIME, ANGLE_RAD, HEIGHT_M, strict=True)):
        missing = float("nan") if i == 2 else float(angle)
        row = osim.RowVectorVec3([osim.Vec3(0.1, float(height), -0.2), osim.Vec3(missing, missing, missing)])
        markers.appendRow(float(time), row)
    markers.addTableMetaDataString("DataRate", "59.94")
    markers.addTableMetaDataString("Units", "m")
    osim.TRCFileAdapter.write(markers, "opensim_markers.trc")


if __name__ == "__main__":
    main()
