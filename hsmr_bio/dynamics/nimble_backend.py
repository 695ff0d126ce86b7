"""Inverse dynamics with nimblephysics: an engine that shares no code with OpenSim, on the same BSM model.

nimblephysics 0.10.52.1 is compiled for numpy 1: with numpy 2 every call that takes an array ends the process. So only
scalar setters are called here, and arrays are only returned; a test guards it. Its gravity cannot be set without an array
either (it points along -z), so the difference from ours is added with its Jacobian of the centre of mass.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, require
from ..io.silence import no_stdout
from ..osim.library import Model, as_document
from ..osim.nimble_export import write_nimble_model
from ..osim.nimble_states import NimbleStates
from ..types import FloatArray
from .loads import ExternalForce
from .trajectory import Trajectory

GRAVITY_M_S2 = np.array([0.0, -9.80665, 0.0])
"""OpenSim's default, y up."""
_BodyNode = Any
"""A body of nimblephysics (no type information)."""
_SHOWN = 6
"""Most names that a message lists."""


class NimbleBackend:
    """A BSM model in nimblephysics.

    Args:
        model: a BSM model, generic or scaled.

    Raises:
        ModelError: not a BSM model, or nimblephysics reads other coordinates from it.
        MissingDependencyError: nimblephysics is not installed.
    """

    def __init__(self, model: Model) -> None:
        nimble: Any = require("nimblephysics", feature="the second inverse-dynamics engine")
        document = as_document(model)
        with tempfile.TemporaryDirectory(prefix="hsmr_bio_") as folder, no_stdout():  # the parser prints
            path = write_nimble_model(Path(folder) / "nimble.osim", document)
            self._skeleton = nimble.biomechanics.OpenSimParser.parseOsim(str(path)).skeleton
        self._states = NimbleStates(document)
        self.coordinates: tuple[str, ...] = self._states.coordinates
        names = [self._skeleton.getDofByIndex(i).getName() for i in range(self._skeleton.getNumDofs())]
        if set(names) != set(self._states.names):
            different = sorted(set(names) ^ set(self._states.names))
            raise ModelError(f"nimblephysics reads other coordinates than the model has: {', '.join(different[:_SHOWN])}")
        self._order = [self._states.names.index(name) for name in names]
        self.mass_kg = float(self._skeleton.getMass())

    def inverse_dynamics(self, motion: Trajectory, loads: Sequence[ExternalForce] = ()) -> FloatArray:
        """Solve the equations of motion in every frame, as :meth:`OpenSimBackend.inverse_dynamics` does.

        Args:
            motion: coordinates of the model, in any order.
            loads: external forces on bodies, sampled at ``motion.time_s``.

        Returns:
            (T, N) generalized forces, N m or N, in the order of ``motion.coordinates``.

        Raises:
            ModelError: a load acts on a body that the model does not have, or is not given in ground axes.
        """
        skeleton = self._skeleton
        columns = [motion.coordinates.index(name) for name in self.coordinates]
        q, u, a = (values[:, columns] for values in (motion.q_si, motion.u_si, motion.a_si))
        states = self._states
        moving = (states.positions(q), states.speeds(q, u), states.accelerations(q, u, a))
        lists = [values[:, self._order].tolist() for values in moving]
        forces = np.empty((len(motion.time_s), len(self._order)))
        bodies = [self._body(load) for load in loads]
        missing_n = self.mass_kg * (GRAVITY_M_S2 - np.asarray(skeleton.getGravity()))
        for frame in range(len(forces)):
            for i, (position, speed, acceleration) in enumerate(zip(*(values[frame] for values in lists), strict=True)):
                skeleton.setPosition(i, position)
                skeleton.setVelocity(i, speed)
                skeleton.setAcceleration(i, acceleration)
            skeleton.computeInverseDynamics(False, False, False)
            tau = skeleton.getControlForces() - skeleton.getCOMLinearJacobian().T @ missing_n
            for body, load in zip(bodies, loads, strict=True):
                origin = np.asarray(body.getWorldTransform().translation())
                torque = load.torque_nm[frame]
                if load.point_m is not None:
                    torque = torque + np.cross(load.point_m[frame] - origin, load.force_n[frame])
                wrench = np.concatenate((torque, load.force_n[frame]))
                tau = tau - np.asarray(skeleton.getWorldJacobian(body)).T @ wrench
            forces[frame, self._order] = tau
        result = np.empty((len(forces), len(columns)))
        result[:, columns] = states.forces(q, forces)
        return result

    def _body(self, load: ExternalForce) -> _BodyNode:
        node = self._skeleton.getBodyNode(load.body)
        if node is None:
            raise ModelError(f"the model has no body {load.body!r}")
        if load.force_frame != "ground" or load.point_frame != "ground":
            raise ModelError(f"the load on {load.body!r} must be given in ground axes for nimblephysics; use backend='opensim'")
        return node
