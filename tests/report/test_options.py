"""Options with what they cost and bring, on maps drawn by hand: which is best where, and where nobody can say."""

import numpy as np
import pytest
from drawn import GRID, by_hand
from scipy.stats import norm

from helpers import atanh_normal
from which_world.report.options import UNDECIDED, decided

OPTIONS = {"as now": (0.0, 0.0), "one gram more": (2.5, 1.0)}


@pytest.mark.parametrize("middle, chosen", [(-0.05, "one gram more"), (0.15, "as now")])
def test_the_choice_turns_where_the_line_meets_its_price(middle, chosen):
    """The effect is 3 - 12 ρ: one gram more pays its 2.5 below ρ = 1/24, and a belief alone goes by its middle.

    Evidence that shouts for the other choice is not heard. At the ends of the range the effect is 5.4 or 0.6, so the
    regret is at most 1.9 with more, and 2.9 without.
    """
    loud = by_hand(evidence=norm.logpdf(np.arctanh(GRID), 0.1 - middle, 0.01))
    decision, said = decided(loud, OPTIONS, (-0.2, 0.2), atanh_normal(middle, 0.02), False)
    assert list(decision.ranges["action"]) == ["one gram more", "as now"]
    np.testing.assert_allclose(decision.ranges[["low", "high"]], [[-0.2, 1 / 24], [1 / 24, 0.2]], atol=1e-3)
    assert (decision.minimax_regret, decision.bayes) == ("one gram more", chosen)
    assert said.startswith("Best is “one gram more” from ρ = -0.20 to 0.04 and “as now” from ρ = 0.04 to 0.20. “one")
    assert said.count("“as now” has the least loss to expect") == (chosen == "as now")


def test_where_nothing_turns_one_option_is_best():
    decision, said = decided(by_hand(slope=0.0), OPTIONS, (-0.5, 0.5), atanh_normal(), True)
    assert said.startswith("Best is “one gram more” from ρ = -0.50 to 0.50: no hidden current in that range turns")
    assert decided(by_hand(), {}, (-0.5, 0.5), atanh_normal(), True) == (None, UNDECIDED)


def test_options_on_columns_that_cannot_be_relied_on_leave_the_report_alone():
    scars = by_hand(k=np.where(np.abs(GRID) < 0.3, np.nan, 0.1))
    decision, said = decided(scars, OPTIONS, (-0.5, 0.5), atanh_normal(), True)
    assert decision is None and said.startswith("Which option is best cannot be read off this map: ")
