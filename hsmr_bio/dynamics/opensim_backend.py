"""Inverse dynamics with OpenSim's own solver, in one process: one model, one state, one pass over the frames."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, ModelError, UnknownCoordinateError, require
from ..osim.components import shown
from ..osim.document import OsimDocument
from ..osim.library import Model
from ..osim.update import refuse_unloadable
from ..types import BoolArray, FloatArray, Subject
from .loads import ExternalForce
from .polynomial_bias import PolynomialBias
from .trajectory import Trajectory

_LOG = logging.getLogger(__name__)
_GROUND = "ground"
_TRANSLATIONAL = 2
"""OpenSim's number of this motion type."""
_Osim = Any
"""The module opensim, or an object of it (no type information)."""
_BROKEN_JOINTS = {"ConstantCurvatureJoint": "its angular velocity is wrong in OpenSim (errors of moments up to 100 N m)"}
"""Joint classes without a usable velocity; measured against differentiated forward kinematics in OpenSim 4.6."""
_SHOWN = 6
"""Most names that a message lists."""
_SHOWN_CHARACTERS = 150
"""Longest part of OpenSim's message in ours."""
_PROBE_SI = 0.01
"""Change of a coordinate or speed that shows its place in the state."""
_PROBE_TOLERANCE = 1e-12
"""Rounding of a rate that equals its speed."""
_RANK_TOLERANCE = 1e-9
"""Relative singular value below which the base cannot carry a component of the wrench."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Poses:
    """Positions and orientations of bodies in ground."""

    bodies: tuple[str, ...]
    origins_m: FloatArray
    """(T, B, 3)."""
    rotations: FloatArray
    """(T, B, 3, 3) columns are the body's axes."""
    com_m: FloatArray
    """(T, 3) centre of mass of the whole model."""


class OpenSimBackend:
    """The rigid bodies and joints of an OpenSim model, for repeated inverse dynamics.

    Muscles, actuators, springs, contacts, controllers and constraints are removed: the result is the net moment that all
    internal forces together must produce, and coupled coordinates (patellae) are free, as in OpenSim's Inverse Dynamics
    Tool.

    Args:
        model: a subject, a model document, a ``.osim`` file or its bytes.

    Raises:
        ModelError: OpenSim cannot read the model, or computes wrong velocities for one of its joints.
        MissingDependencyError: opensim is not installed.
    """

    def __init__(self, model: Model) -> None:
        self._osim: Any = require("opensim", feature="inverse dynamics")
        self.model = model
        """The model as it was given."""
        with _quiet(self._osim):
            self._model = _load(self._osim, model)
            self._refuse_broken_joints()
            self._locked = self._unlocked()
            self._report_constraints()
            for name in ("ForceSet", "ConstraintSet", "ControllerSet", "ProbeSet", "ContactGeometrySet"):
                getattr(self._model, f"upd{name}")().clearAndDestroy()
            self._state = self._model.initSystem()
        if not self._model.getCoordinateSet().getSize():
            raise ModelError("the model has no coordinate: nothing of it can move")
        self._matter = self._model.getMatterSubsystem()
        self._solver = self._osim.InverseDynamicsSolver(self._model)
        coordinate_set = self._model.getCoordinateSet()
        coordinates = [coordinate_set.get(i) for i in range(coordinate_set.getSize())]
        self.coordinates: tuple[str, ...] = tuple(c.getName() for c in coordinates)
        """N names in the order of the model."""
        self.rotational: BoolArray = np.array([c.getMotionType() == 1 for c in coordinates])
        """(N,) True for angles; coupled coordinates are not, as in OpenSim's files."""
        self.mass_kg = float(self._model.getTotalMass(self._state))
        gravity = self._model.get_gravity()
        self.gravity_m_s2: FloatArray = np.array([gravity.get(i) for i in range(3)])
        self.body_masses_kg: dict[str, float] = {b.getName(): float(b.getMass()) for b in self._model.getBodyList()}
        self._q_slots, self._u_slots = self._state_slots(coordinates)
        self._plain = self._speeds_are_rates()
        self.base_body, self.base_coordinates = self._base()
        self._bias = PolynomialBias(model)

    def locked_values(self) -> dict[str, float]:
        """Value of every coordinate that the model locks, in rad or m."""
        return dict(self._locked)

    def _unlocked(self) -> dict[str, float]:
        """Free the coordinates that are locked or prescribed: the motion alone decides; the values of the locked ones."""
        coordinates, locked = self._model.updCoordinateSet(), {}
        for i in range(coordinates.getSize()):
            coordinate = coordinates.get(i)
            if coordinate.get_locked():
                locked[coordinate.getName()] = float(coordinate.getDefaultValue())
            coordinate.set_locked(False)
            coordinate.set_prescribed(False)
        return locked

    def select(self, motion: Trajectory) -> Trajectory:
        """Sort a trajectory into the model's order; locked coordinates that it does not have keep their default.

        Raises:
            UnknownCoordinateError: the trajectory has a coordinate that the model does not have.
            InputError: a coordinate of the model is missing in the trajectory.
        """
        for name in motion.coordinates:
            if name not in self.coordinates:
                raise UnknownCoordinateError(name, self.coordinates)
        locked = self.locked_values()
        missing = [name for name in self.coordinates if name not in motion.coordinates and name not in locked]
        if missing:
            raise InputError(
                f"the motion lacks {len(missing)} of the model's {len(self.coordinates)} coordinates: "
                f"{', '.join(missing[:_SHOWN])}{' ...' if len(missing) > _SHOWN else ''}. Add their columns (may be constant)"
            )
        shape = (len(motion.time_s), len(self.coordinates))
        parts = {"q_si": np.zeros(shape), "u_si": np.zeros(shape), "a_si": np.zeros(shape)}
        for column, name in enumerate(self.coordinates):
            if name in motion.coordinates:
                source = motion.coordinates.index(name)
                for key, part in parts.items():
                    part[:, column] = getattr(motion, key)[:, source]
            else:
                parts["q_si"][:, column] = locked[name]
        return Trajectory(time_s=motion.time_s, coordinates=self.coordinates, **parts)

    def inverse_dynamics(self, motion: Trajectory, loads: Sequence[ExternalForce] = ()) -> FloatArray:
        """Solve M udot + C + G - J^T F = tau in every frame.

        OpenSim's error for joints that translate by a polynomial of several coordinates is corrected
        (:mod:`.polynomial_bias`).

        Args:
            motion: in the model's order, see :meth:`select`.
            loads: external forces on bodies, sampled at ``motion.time_s``.

        Returns:
            (T, N) generalized forces, N m or N.

        Raises:
            ModelError: a load acts on a body that the model does not have, or OpenSim cannot evaluate a pose.
        """
        bodies = [(self._body(load.body), self._frame(load.force_frame), self._frame(load.point_frame)) for load in loads]
        osim, state, count = self._osim, self._state, len(self.coordinates)
        zero = osim.SpatialVec(osim.Vec3(0), osim.Vec3(0))
        forces = osim.VectorOfSpatialVec(self._model.getBodySet().getSize() + 1, zero)
        mapped = osim.Vector(count, 0.0)
        result = np.empty((len(motion.time_s), count))
        with _quiet(osim):
            for frame, (_, udot) in enumerate(self._frames(motion)):
                tau = self._solver.solve(state, udot).to_numpy()
                if loads:
                    for index in {body.getMobilizedBodyIndex() for body, *_ in bodies}:
                        forces.set(index, zero)
                    for load, (body, force_frame, point_frame) in zip(loads, bodies, strict=True):
                        self._add_wrench(forces, frame, body, load, force_frame, point_frame)
                    self._matter.multiplyBySystemJacobianTranspose(state, forces, mapped)
                    tau = tau - mapped.to_numpy()
                result[frame] = self._per_coordinate(tau)
        return result + self._bias.forces(motion)

    def poses(self, motion: Trajectory, bodies: Sequence[str]) -> Poses:
        """Compute origins and orientations of bodies, and the centre of mass, in every frame.

        Args:
            motion: in the model's order.
            bodies: B names.

        Returns:
            The poses in ground.

        Raises:
            ModelError: a body that the model does not have.
        """
        found = [self._body(name) for name in bodies]
        frames = len(motion.time_s)
        origins, rotations, com = np.empty((frames, len(found), 3)), np.empty((frames, len(found), 3, 3)), np.empty((frames, 3))
        osim, state = self._osim, self._state
        axes = [osim.Vec3(1, 0, 0), osim.Vec3(0, 1, 0), osim.Vec3(0, 0, 1)]
        with _quiet(osim):
            for frame, _ in enumerate(self._frames(motion, speeds=False)):
                com[frame] = self._matter.calcSystemMassCenterLocationInGround(state).to_numpy()
                for b, body in enumerate(found):
                    origins[frame, b] = body.getPositionInGround(state).to_numpy()
                    for axis in range(3):
                        rotations[frame, b, :, axis] = body.expressVectorInGround(state, axes[axis]).to_numpy()
        return Poses(bodies=tuple(bodies), origins_m=origins, rotations=rotations, com_m=com)

    def base_wrench(self, motion: Trajectory, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Convert the generalized forces of the base to a force and a moment on the base body.

        Args:
            motion: in the model's order.
            tau: (T, N) generalized forces.

        Returns:
            Force (T, 3) in N and moment about the ground origin (T, 3) in N m. A planar base leaves the
            components that it cannot carry at zero (about the base body's origin).

        Source:
            Principle of virtual work: tau = J^T W with the base body's frame Jacobian J.
        """
        columns = [self.coordinates.index(name) for name in self.base_coordinates]
        body, osim = self._body(self.base_body), self._osim
        index, origin, jacobian = body.getMobilizedBodyIndex(), osim.Vec3(0), osim.Matrix()
        force, moment = np.empty((len(tau), 3)), np.empty((len(tau), 3))
        with _quiet(osim):
            for frame, _ in enumerate(self._frames(motion, speeds=False)):
                self._matter.calcFrameJacobian(self._state, index, origin, jacobian)
                own = np.array([self._per_coordinate(row)[columns] for row in jacobian.to_numpy()])
                wrench = np.linalg.lstsq(own.T, tau[frame, columns], rcond=_RANK_TOLERANCE)[0]
                base_m = body.getPositionInGround(self._state).to_numpy()
                force[frame] = wrench[3:]
                moment[frame] = wrench[:3] + np.cross(base_m, wrench[3:])
        return force, moment

    def _frames(self, motion: Trajectory, *, speeds: bool = True) -> Iterator[tuple[_Osim, _Osim]]:
        """Set the state to one frame after the other; yields speeds and accelerations in the state's order."""
        vector, frames = self._osim.Vector.createFromMat, len(motion.time_s)
        q = np.zeros((frames, self._state.getNQ()))
        rates, second = np.zeros_like(q), np.zeros_like(q)
        u, udot = np.zeros((frames, len(self.coordinates))), np.zeros((frames, len(self.coordinates)))
        q[:, self._q_slots] = motion.q_si
        rates[:, self._q_slots], u[:, self._u_slots] = motion.u_si, motion.u_si
        second[:, self._q_slots], udot[:, self._u_slots] = motion.a_si, motion.a_si
        for frame in range(frames):
            self._state.setQ(vector(q[frame]))
            if not speeds:
                self._model.realizePosition(self._state)
                yield None, None
                continue
            if self._plain:
                speed, acceleration = vector(u[frame]), vector(udot[frame])
            else:
                speed, acceleration = self._speeds_from_rates(vector(rates[frame]), second[frame])
            self._state.setU(speed)
            yield speed, acceleration

    def _speeds_from_rates(self, rates: _Osim, second: FloatArray) -> tuple[_Osim, _Osim]:
        """Convert rates of coordinates to speeds: u = N^-1 qdot, udot = N^-1 (qdotdot - Ndot u); a BallJoint needs it."""
        osim, count = self._osim, len(self.coordinates)
        speed, bias, acceleration = osim.Vector(count, 0.0), osim.Vector(len(second), 0.0), osim.Vector(count, 0.0)
        self._model.realizePosition(self._state)
        self._matter.multiplyByNInv(self._state, False, rates, speed)
        self._state.setU(speed)
        self._model.realizeVelocity(self._state)
        self._matter.multiplyByNDot(self._state, False, speed, bias)
        rest = osim.Vector.createFromMat(second - bias.to_numpy())
        self._matter.multiplyByNInv(self._state, False, rest, acceleration)
        return speed, acceleration

    def _per_coordinate(self, tau: FloatArray) -> FloatArray:
        """Convert forces conjugate to speeds to forces conjugate to coordinates, in the model's order."""
        if self._plain:
            return tau[self._u_slots]
        out = self._osim.Vector(self._state.getNQ(), 0.0)
        self._matter.multiplyByNInv(self._state, True, self._osim.Vector.createFromMat(np.ascontiguousarray(tau)), out)
        return np.asarray(out.to_numpy()[self._q_slots])

    def _add_wrench(
        self, forces: _Osim, frame: int, body: _Osim, load: ExternalForce, force_frame: _Osim, point_frame: _Osim
    ) -> None:
        """Add one frame of a load to the spatial forces, about the body's origin in ground axes."""
        osim = self._osim
        force, torque = load.force_n[frame], load.torque_nm[frame]
        if force_frame is not None:
            force = force_frame.expressVectorInGround(self._state, osim.Vec3(*force)).to_numpy()
            torque = force_frame.expressVectorInGround(self._state, osim.Vec3(*torque)).to_numpy()
        if load.point_m is not None:
            point = load.point_m[frame]
            if point_frame is not None:
                point = point_frame.findStationLocationInGround(self._state, osim.Vec3(*point)).to_numpy()
            x, y, z = point - body.getPositionInGround(self._state).to_numpy()
            fx, fy, fz = force
            torque = (torque[0] + y * fz - z * fy, torque[1] + z * fx - x * fz, torque[2] + x * fy - y * fx)
        index = body.getMobilizedBodyIndex()
        previous = forces.get(index)
        total = [previous.get(i).to_numpy() + part for i, part in enumerate((torque, force))]
        forces.set(index, osim.SpatialVec(osim.Vec3(*total[0]), osim.Vec3(*total[1])))

    def _body(self, name: str | None) -> _Osim:
        if name not in self.body_masses_kg:
            bodies = shown(", ".join(self.body_masses_kg))
            raise ModelError(f"the model has no body {shown(str(name))!r}; its bodies are: {bodies}")
        return self._model.getBodySet().get(name)

    def _frame(self, name: str) -> _Osim:
        return None if name in (_GROUND, "/ground") else self._body(name)

    def _refuse_broken_joints(self) -> None:
        joints = self._model.getJointSet()
        for i in range(joints.getSize()):
            kind = joints.get(i).getConcreteClassName()
            if kind in _BROKEN_JOINTS:
                raise ModelError(
                    f"joint {joints.get(i).getName()!r} is a {kind}: {_BROKEN_JOINTS[kind]}. "
                    "Use a model whose spine is made of CustomJoints, such as the BSM of this package"
                )

    def _state_slots(self, coordinates: Sequence[_Osim]) -> tuple[list[int], list[int]]:
        """Index of each coordinate in the state's q and u, found by changing one at a time."""
        state = self._state
        if state.getNU() != len(coordinates):
            raise ModelError(f"the model has {len(coordinates)} coordinates but {state.getNU()} speeds in its state")
        q_slots, u_slots = [], []
        for coordinate in coordinates:
            value, q, u = coordinate.getValue(state), state.getQ().to_numpy(), state.getU().to_numpy()
            coordinate.setValue(state, value + _PROBE_SI, False)
            coordinate.setSpeedValue(state, _PROBE_SI)
            changed = np.flatnonzero(state.getQ().to_numpy() != q), np.flatnonzero(state.getU().to_numpy() != u)
            coordinate.setValue(state, value, False)
            coordinate.setSpeedValue(state, 0.0)
            if any(len(part) != 1 for part in changed):
                raise ModelError(f"coordinate {coordinate.getName()!r} cannot be changed without others")
            q_slots.append(int(changed[0][0]))
            u_slots.append(int(changed[1][0]))
        return q_slots, u_slots

    def _speeds_are_rates(self) -> bool:
        """Whether dq/dt equals Simbody's speeds (True for CustomJoint, PinJoint and the like)."""
        count = len(self.coordinates)
        different = 0.3 + 0.2 * np.sin(np.arange(count) + 1.0)  # any values, no two of them equal
        q, u = np.zeros(self._state.getNQ()), np.zeros(count)
        q[self._q_slots] = u[self._u_slots] = different
        self._state.setQ(self._osim.Vector.createFromMat(q))
        self._state.setU(self._osim.Vector.createFromMat(u))
        self._model.realizeVelocity(self._state)
        rates = self._state.getQDot().to_numpy()[self._q_slots]
        return bool(np.allclose(rates, different, atol=_PROBE_TOLERANCE))

    def _base(self) -> tuple[str, tuple[str, ...]]:
        """Body and coordinates of the joint that leaves the model free in space; of several, that which carries most mass.

        A joint that translates does; else one at ground itself. A model whose base is welded to ground has none.
        """
        joints = [self._model.getJointSet().get(i) for i in range(self._model.getJointSet().getSize())]
        ends = [tuple(f.findBaseFrame().getName() for f in (j.getParentFrame(), j.getChildFrame())) for j in joints]
        children: dict[str, list[tuple[str, _Osim]]] = {}
        for (parent, child), joint in zip(ends, joints, strict=True):
            children.setdefault(parent, []).append((child, joint))
        found = []
        fixed, seen = [_GROUND], {_GROUND}
        while fixed:
            parent = fixed.pop()
            for child, joint in children.get(parent, ()):
                kinds = [joint.get_coordinates(k).getMotionType() for k in range(joint.numCoordinates())]
                if kinds and (parent == _GROUND or _TRANSLATIONAL in kinds):
                    found.append(((_TRANSLATIONAL in kinds, self._carried_kg(child, children)), child, joint))
                elif not kinds and child not in seen:
                    seen.add(child)
                    fixed.append(child)
        if not found:
            return _GROUND, ()
        _, body, joint = max(found, key=lambda entry: entry[0])
        if len(found) > 1:
            others = ", ".join(sorted(name for _, name, _ in found if name != body))
            _LOG.warning("several bodies are connected to ground: residuals are those of %s, not of %s", body, shown(others))
        return body, tuple(joint.get_coordinates(k).getName() for k in range(joint.numCoordinates()))

    def _report_constraints(self) -> None:
        """Say which constraints are taken away; couplings of coordinates are not among them, as they are usual."""
        constraints = self._model.getConstraintSet()
        named = {constraints.get(i).getName(): constraints.get(i).getConcreteClassName() for i in range(constraints.getSize())}
        names = [f"{kind} {name!r}" for name, kind in named.items() if kind != "CoordinateCouplerConstraint"]
        if names:
            _LOG.warning("as in OpenSim's tool, the moments are those without %s", shown(", ".join(names)))

    def _carried_kg(self, body: str, children: Mapping[str, Sequence[tuple[str, _Osim]]]) -> float:
        """Mass of a body and of all that it carries."""
        waiting, seen = [body], {body}
        while waiting:
            for child, _ in children.get(waiting.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        return sum(self.body_masses_kg.get(name, 0.0) for name in seen)


@contextmanager
def _quiet(osim: _Osim) -> Iterator[None]:
    """Suppress OpenSim's notes on missing meshes; convert its exceptions to ours.

    The log level of the process changes from its default to "Error" and stays there (resetting it prints a line); a
    level that the program has chosen itself is kept.
    """
    if osim.Logger.getLevelString().lower() == "info":
        osim.Logger.setLevelString("Error")
    try:
        yield
    except RuntimeError as error:
        raise ModelError(f"OpenSim stopped: {' '.join(str(error).split())[:_SHOWN_CHARACTERS]}") from error


def _load(osim: _Osim, model: Model) -> _Osim:
    """Load a model through a temporary file, as OpenSim reads models from files only."""
    content = _bytes(model)
    if not isinstance(model, Subject):  # a person's model is made by this package
        refuse_unloadable(content, model.source if isinstance(model, OsimDocument) else _name(model))
    with tempfile.TemporaryDirectory(prefix="hsmr_bio_") as folder:
        path = Path(folder) / "model.osim"
        path.write_bytes(content)
        return osim.Model(str(path))


def _name(model: bytes | str | os.PathLike[str]) -> str:
    return "model" if isinstance(model, bytes) else os.fspath(model)


def _bytes(model: Model) -> bytes:
    if isinstance(model, Subject):
        return model.osim_xml
    if isinstance(model, OsimDocument):
        return model.to_bytes()
    if isinstance(model, bytes):
        return model
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise InputError(f"{os.fspath(model)}: the model cannot be read: {error.strerror}") from None
