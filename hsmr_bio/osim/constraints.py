"""What holds a model's coordinates together beyond its joints: couplings, loops that two bodies close, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from ..kinematics.functions import Function, Scaled
from ..types import FloatArray
from .components import Components, shown
from .functions import find_function, floats, read_function
from .loops import Loop, read_loop
from .parts import Element

_COUPLER = "CoordinateCouplerConstraint"


class Coupling(NamedTuple):
    """A coordinate that is a function of others."""

    dependent: int
    """Index of the coordinate."""
    function: Function


class Constraints:
    """The constraints of a model that are enforced.

    Args:
        components: of the model; constraints count wherever they are.
        coordinates: N names.

    Raises:
        ModelError: a coupling without function or with a coordinate that the model lacks, or frames that cannot be read.
    """

    def __init__(self, components: Components, coordinates: Sequence[str]) -> None:
        self._index = {name: i for i, name in enumerate(coordinates)}
        self._couplers: dict[str, tuple[tuple[str, ...], Element]] = {}
        others: list[str] = []
        loops: list[Loop] = []
        for part in components.everything():
            if not _enforced(part):
                continue
            if part.tag == _COUPLER:
                dependent, inputs = self._names(part)
                if dependent not in self._couplers:
                    self._couplers[dependent] = inputs, part
                    continue
            closed = read_loop(components, part)
            loops += closed
            if closed:
                continue
            others.append(f"{part.tag} {shown(str(part.get('name')))!r}")
        self.loops = tuple(loops)
        """Conditions between two bodies."""
        self.others: tuple[str, ...] = (*others, *self._entangled())
        """Class and name of those that only OpenSim holds, such as rolling contacts and prescribed coordinates."""

    @property
    def dependent(self) -> tuple[str, ...]:
        """Coordinates that a coupling makes depend on others."""
        return tuple(self._couplers)

    @cached_property
    def couplings(self) -> tuple[Coupling, ...]:
        """Couplings in an order in which each reads only coordinates that are known.

        Raises:
            ModelError: the function of a coupling cannot be evaluated.
        """
        found = []
        for dependent in self._order():
            inputs, part = self._couplers[dependent]
            where = f"coupling of {shown(dependent)!r}"
            inner = read_function(find_function(part), [self._index[name] for name in inputs], where)
            found.append(Coupling(self._index[dependent], Scaled(inner, *floats(part, "scale_factor", where, 1, (1.0,)))))
        return tuple(found)

    def couple(self, values_si: FloatArray) -> FloatArray:
        """Compute the dependent coordinates.

        Args:
            values_si: (..., N) values of all coordinates.

        Returns:
            (..., N) with the dependent ones computed; the others unchanged.

        Raises:
            ModelError: the function of a coupling cannot be evaluated.
        """
        return np.asarray(substituted(self.couplings, torch.as_tensor(np.array(values_si, dtype=np.float64))).numpy())

    def _names(self, part: Element) -> tuple[str, tuple[str, ...]]:
        dependent = (part.findtext("dependent_coordinate_name") or "").strip()
        inputs = tuple((part.findtext("independent_coordinate_names") or "").split())
        names = [shown(n) for n in (dependent, *inputs) if n not in self._index]
        if names or find_function(part) is None:
            where = f"constraint {shown(str(part.get('name')))!r}"
            raise ModelError(f"{where}: it needs a function and coordinates of the model; not among them: {names or 'all are'}")
        return dependent, inputs

    def _order(self) -> list[str]:
        """Dependent coordinates, those that others read first."""
        order: list[str] = []
        waiting = list(self._couplers)
        while waiting:
            ready = [name for name in waiting if not set(self._couplers[name][0]) & set(waiting)]
            if not ready:
                break
            order += ready
            waiting = [name for name in waiting if name not in ready]
        return order

    def _entangled(self) -> list[str]:
        """Couplings that read each other's coordinates in a circle."""
        return [f"{_COUPLER} of {shown(name)!r}" for name in self._couplers if name not in self._order()]


def substituted(couplings: Sequence[Coupling], q: Tensor) -> Tensor:
    """Compute dependent coordinates.

    Args:
        couplings: in the order of :attr:`Constraints.couplings`.
        q: (..., N) coordinates.

    Returns:
        (..., N) with the dependent ones computed; ``q`` itself if there are no couplings.
    """
    if not couplings:
        return q
    q = q.clone()
    for dependent, function in couplings:
        q[..., dependent] = function.value_and_partials(q)[0]
    return q


def _enforced(part: Element) -> bool:
    """Whether a component is a constraint, or a prescribed coordinate, and is in force."""
    if part.tag == "Coordinate":
        return (part.findtext("prescribed") or "").strip() == "true" and find_function(part) is not None
    return str(part.tag).endswith("Constraint") and (part.findtext("isEnforced") or "true").strip() != "false"
