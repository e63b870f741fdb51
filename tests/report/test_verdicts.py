"""What turns a sentence of the report: each threshold from both of its sides, by figures of other libraries."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import f_oneway

from helpers import make_design, make_report, resemblance
from which_world.report.examine import first_stage, own_parts
from which_world.report.identifiers import belonging, identifiers
from which_world.report.instruments import effective_f
from which_world.report.sentences import overturns


@pytest.fixture(scope="module")
def piped():
    """A strong instrument and a current of 0.6."""
    x, z, V, e = np.random.default_rng(0).normal(size=(4, 600))
    t = x + 2 * z + V
    data = pd.DataFrame({"x": x, "z": z, "t": t, "y": -7 * t + x + 10 * (0.6 * V + 0.8 * e)})
    return make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x + z"))


def tipping(report, interval, mean):
    """The first sentence of what would overturn a report that tips at these two."""
    return overturns(report._replace(tipping=pd.Series({"interval": interval, "mean": mean, "at_zero": -7.0})))[0]


def test_it_is_the_intervals_tipping_point_that_an_instrument_may_rule_out(piped):
    """The mean's lies farther from zero, and may lie outside what the data say of ρ while the interval's is inside."""
    low, high = np.quantile(piped.draws.rho.sel(world="ρ free"), [0.025, 0.975])
    inside, outside = (low + high) / 2, (high + 1) / 2
    assert "in doubt" in tipping(piped, inside, outside) and "in doubt" in tipping(piped, inside, inside)
    for mean in (inside, outside):
        assert "in doubt" not in tipping(piped, low - 0.2, mean)


def villages(groups, rows, shared_T, shared_Y, seed, noise=1.0):
    """Rows by the name of their village, which share so much of either equation's error."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    T, Y = (s * rng.normal(size=groups)[g] + noise * rng.normal(size=len(g)) for s in (shared_T, shared_Y))
    return pd.DataFrame({"Y": Y, "T": T, "village": [f"v{k}" for k in g]})


def measured(data):
    """By SciPy and statsmodels: the p-values of either equation, and how much the clustered error exceeds the usual."""
    line = smf.ols("Y ~ T", data)
    parts = [[part for _, part in values.groupby(data.village)] for values in (line.fit().resid, data["T"])]
    grown = line.fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(data.village)[0]}).bse["T"]
    return [f_oneway(*values).pvalue for values in parts], grown / line.fit().bse["T"]


def told(data):
    design = make_design(data, outcome="Y ~ T", treatment="T ~ 1")
    return belonging(identifiers(design, data)[0], design), resemblance(design, data.village)


def test_rows_that_are_alike_beyond_doubt_but_hardly_are_no_clusters_to_speak_of():
    data = villages(2000, 4, 0.35, 0.35, seed=1)
    p, grown = measured(data)
    assert max(p) < 1e-4 and grown < 1.15
    found, here = told(data)
    assert found == [] and here.p < 1e-3 and here.factor < 1.25


@pytest.mark.parametrize("made", [(8, 4, 1.1, 1.1, 0), (20, 10, 0.45, 3.0, 11)], ids=["few rows", "one equation"])
def test_rows_that_one_equation_may_have_alike_by_chance_are_no_clusters_to_speak_of(made):
    """However wide they would make the interval: the larger of the two p-values decides."""
    data = villages(*made)
    p, _ = measured(data)
    assert min(p) < 1e-4 and max(p) > 1e-2
    found, here = told(data)
    assert found == [] and here.factor > 1.25


def test_rows_alike_in_both_equations_are_spoken_of():
    data = villages(60, 20, 1.0, 1.0, seed=0)
    p, grown = measured(data)
    assert max(p) < 1e-10 and grown > 1.5
    found, _ = told(data)
    assert len(found) == 1 and "village" in found[0]


@pytest.mark.parametrize("pull, seed", [((0.1, 0.0), 0), ((0.4, 0.2), 1)])
def test_the_strength_of_instruments_is_statsmodels_f_of_leaving_them_out(pull, seed):
    x, z, w, V, e = np.random.default_rng(seed).normal(size=(5, 300))
    data = pd.DataFrame({"x": x, "z": z, "w": w, "t": 2 * x + pull[0] * z + pull[1] * w + V})
    data["y"] = data.t + x + e
    long, short = (smf.ols(formula, data).fit() for formula in ("t ~ x + z + w", "t ~ x"))
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x + z + w")
    assert first_stage(design) == pytest.approx(long.compare_f_test(short)[0])


@pytest.mark.parametrize("grouped", [False, True])
def test_the_strength_of_an_instrument_is_the_square_of_its_robust_t(grouped):
    rng = np.random.default_rng(4)
    village = np.arange(600) // 10
    x, e, u = rng.normal(size=(3, 600))
    z, shared = rng.normal(size=(2, 60))[:, village]
    data = pd.DataFrame({"x": x, "z": z, "t": 0.3 * x + 0.3 * z + shared + e * (1 + abs(z)), "y": u})
    fit = smf.ols("t ~ x + z", data)
    kind = {"cov_type": "cluster", "cov_kwds": {"groups": village}} if grouped else {"cov_type": "HC1"}
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x + z")
    robust = fit.fit(**kind).tvalues["z"] ** 2
    assert effective_f(design, village if grouped else None) == pytest.approx(robust, rel=1e-8)
    assert fit.fit().tvalues["z"] ** 2 > (5 if grouped else 1.1) * robust


def test_parts_of_a_product_are_no_yardstick_for_a_hidden_cause():
    rng = np.random.default_rng(0)
    treated, post = rng.integers(0, 2, (2, 500))
    data = pd.DataFrame({"treated": treated, "post": post, "y": treated + post + rng.normal(size=500)})
    design = make_design(data, outcome="y ~ I(treated * post) + treated + post", treatment="I(treated * post) ~ 1")
    report = make_report(design)
    assert own_parts(design) == ["treated", "post"] and report.benchmarks.empty
    assert any("difference in differences" in said and "moved alike" in said for said in report.checks)
