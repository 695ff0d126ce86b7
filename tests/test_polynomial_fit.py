"""Polynomials that stand for other functions."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.osim.polynomial_fit import fit_polynomial_of_one


def test_a_polynomial_is_its_own_best_one() -> None:
    found = fit_polynomial_of_one(lambda x: 2 * x**3 - x**2 + 0.5 * x - 3, (-0.4, 1.2), 4)
    assert found == pytest.approx([0, 2, -1, 0.5, -3], abs=1e-8), "the highest power first"


def test_a_smooth_function_is_met_all_over_its_interval() -> None:
    found = fit_polynomial_of_one(np.sin, (0.2, 1.9), 6)
    x = np.linspace(0.2, 1.9, 50)
    assert np.abs(np.polyval(found, x) - np.sin(x)).max() < 1e-6
