"""Fit the mean shape of one sex to ANSUR II, and draw a population of bodies from its covariance.

Only the means and the covariance matrix of the survey are used, no single person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from assets import Floats, Mesh, read_ansur
from measures import TARGETS, Tape
from shape import PRIOR_SD, START, ShapeSpace
from tpose import Posed, TPose

NAMES = tuple(TARGETS)
SD = np.array([TARGETS[name].sd_m for name in NAMES])
SEED = {"male": 20150401, "female": 20150402}


@dataclass(frozen=True, eq=False)
class Survey:
    """ANSUR statistics of the measures of one sex, already converted to the body's definitions."""

    mean: Floats
    covariance: Floats
    people: int


def survey(sex: str) -> Survey:
    """Means and covariance of the 32 measures."""
    columns, values = read_ansur(sex)
    pick = [columns.index(TARGETS[name].column) for name in NAMES]
    table = values[:, pick] * [TARGETS[name].factor for name in NAMES]
    return Survey(table.mean(axis=0), np.cov(table.T), len(table))


class Population:
    """Bodies of one sex: the calibrated mean and its linear neighbourhood."""

    def __init__(self, mesh: Mesh, tpose: TPose, sex: str) -> None:
        self.sex, self.tpose, self.tape = sex, tpose, Tape(tpose)
        self.space = ShapeSpace(mesh, sex)
        self.survey = survey(sex)

    def measure(self, vertices: Floats) -> Floats:
        """(32,) measures of unposed vertices."""
        return np.array(list(self.tape(self.tpose.pose(vertices)).values()))

    def jacobian(self, c: Floats) -> tuple[Floats, Floats]:
        """(32, parameters) derivative of the measures at c, and the vertex derivative it used."""
        vertices, directions = self.space.vertices(c), self.space.derivative(c)
        step = 0.05
        columns = [(self.measure(vertices + step * d) - self.measure(vertices - step * d)) / (2 * step) for d in directions]
        return np.stack(columns, axis=1), directions

    def fit_mean(self, iterations: int = 8) -> Floats:
        """Gauss-Newton with step halving: measures to ANSUR's means, parameters near their prior.

        Rounded to 0.001, so that other processors, whose last digits differ, arrive at the same numbers.
        """
        c = START.copy()

        def cost(c: Floats) -> float:
            miss = (self.measure(self.space.vertices(c)) - self.survey.mean) / SD
            return float(miss @ miss + np.sum(((c - START) / PRIOR_SD) ** 2))

        best = cost(c)
        for _ in range(iterations):
            slope = self.jacobian(c)[0] / SD[:, None]
            miss = (self.measure(self.space.vertices(c)) - self.survey.mean) / SD
            normal = slope.T @ slope + np.diag(PRIOR_SD**-2)
            step = -np.linalg.solve(normal, slope.T @ miss + (c - START) / PRIOR_SD**2)
            for _ in range(6):
                trial = cost(c + step)
                if trial < best:
                    c, best = c + step, trial
                    break
                step = step / 2
            else:
                break
        return np.round(c, 3)

    def sample(self, c: Floats, pairs: int) -> list[Posed]:
        """T-posed bodies drawn around the mean: ``pairs`` draws from ANSUR's normal distribution, each with its opposite.

        The draws are whitened, so that the drawn measures have ANSUR's means and covariance exactly (before the T pose).
        """
        slope, directions = self.jacobian(c)
        weighted = slope / SD[:, None]
        gain = np.linalg.solve(weighted.T @ weighted + np.diag(PRIOR_SD**-2), weighted.T) / SD
        values, vectors = np.linalg.eigh(self.survey.covariance)
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
        draw = np.random.default_rng(SEED[self.sex]).standard_normal((pairs, len(values)))
        draw = np.clip(draw, -3.0, 3.0)
        draw = np.linalg.solve(np.linalg.cholesky(draw.T @ draw / pairs), draw.T).T
        change = (draw * np.sqrt(np.maximum(values, 0))) @ vectors.T @ gain.T
        mean = self.space.vertices(c)
        flat = directions.reshape(len(c), -1)
        bodies = []
        for delta in change:
            shift = (delta @ flat).reshape(mean.shape)
            bodies += [self.tpose.pose(mean + shift), self.tpose.pose(mean - shift)]
        return bodies
