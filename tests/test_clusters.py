"""Rows in clusters: statsmodels' sandwich, a simulation's own spread, and intervals that cover."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.stats import binom, f_oneway, norm

from helpers import (
    bootstrap_map,
    make_design,
    map_rho,
    maximum_likelihood,
    ols,
    plot_map,
    read_map,
    resemblance,
    simulate_aquarium,
)
from which_world import clusters

FORMULAS = {"outcome": "Y ~ T + X0", "treatment": "T ~ X0 + X1"}


def villages(seed, *, groups=60, rows=20, shared=1.0, offered=False, yes=()):
    """Villages that move treatment and outcome, each by a draw of its own: no current, no effect, rows that resemble.

    The instrument X1 is the row's own, or `offered` to a whole village.
    """
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    x, z, V, U = rng.normal(size=(4, len(g)))
    z = rng.normal(size=groups)[g] if offered else z
    T = 0.5 * x + z + shared * rng.normal(size=groups)[g] + 0.5 * V
    T = (T > 0).astype(int) if "T" in yes else T
    Y = 0.3 * x + shared * rng.normal(size=groups)[g] + U
    Y = (Y > 0).astype(int) if "Y" in yes else Y
    return pd.DataFrame({"Y": Y, "T": T, "X0": x, "X1": z}), g


def test_least_squares_has_statsmodels_clustered_error():
    data, g = villages(1)
    theirs = smf.ols("Y ~ T + X0", data).fit(cov_type="cluster", cov_kwds={"groups": g})
    ours = ols(make_design(data, **FORMULAS), cluster=[f"village {k}" for k in g])
    assert ours.bse["alpha"] == pytest.approx(theirs.bse["T"], rel=1e-9)
    assert ours.params["alpha"] == pytest.approx(theirs.params["T"], rel=1e-9)


@pytest.mark.parametrize("yes", [(), ("T",), ("Y",), ("Y", "T")], ids=str)
def test_without_a_current_maximum_likelihood_has_statsmodels_clustered_errors(yes):
    """At ρ = 0 the two equations part: each is statsmodels' own, but for the degrees of freedom of the other."""
    data, g = villages(2, yes=yes)
    design = make_design(data, **FORMULAS)
    joint = maximum_likelihood(design, rho=0, cluster=g)
    model = sm.Probit if "Y" in yes else sm.OLS
    X = sm.add_constant(data[["X0", "T"]].to_numpy())
    options = {"cov_type": "cluster", "cov_kwds": {"groups": g}}
    theirs = model(data.Y.to_numpy(), X).fit(**options, **({"disp": 0} if "Y" in yes else {}))
    n, k = len(data), len(joint.estimates)
    same = np.sqrt((n - 3) / (n - k))
    assert joint.standard_errors["alpha"] == pytest.approx(same * theirs.bse[2], rel=1e-5)
    alone = maximum_likelihood(design, rho=0)
    assert joint.alpha == alone.alpha and joint.effect == alone.effect
    assert joint.effect_se > 1.2 * alone.effect_se


def test_every_row_a_cluster_of_its_own_leaves_a_right_model_its_errors():
    tank = simulate_aquarium(4000, rho=0.4, treatment="binary", seed=2).data
    design = make_design(tank, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2")
    usual, robust = (maximum_likelihood(design, cluster=c).standard_errors for c in (None, np.arange(4000)))
    np.testing.assert_allclose(robust, usual, rtol=0.06)


def test_clustered_intervals_cover_and_the_usual_ones_do_not():
    inside = {"clustered": 0, "usual": 0}
    for seed in range(100):
        data, g = villages(seed, groups=40, rows=10, offered=True)
        design = make_design(data, **FORMULAS)
        for name, cluster in (("clustered", g), ("usual", None)):
            found = maximum_likelihood(design, cluster=cluster)  # ρ free: X1 is an instrument
            inside[name] += abs(found.alpha) < norm.ppf(0.95) * found.standard_errors["alpha"]
    assert binom.cdf(inside["usual"], 100, 0.9) < 1e-6
    assert binom.cdf(inside["clustered"], 100, 0.9) > 1e-3 < binom.sf(inside["clustered"] - 1, 100, 0.9)


def test_the_bootstrap_of_the_map_is_the_sandwich_where_that_is_known():
    data, g = villages(3)
    design = make_design(data, **FORMULAS)
    table = bootstrap_map(design, g, rho=[0.0], replicates=400)
    known = maximum_likelihood(design, rho=0.0, cluster=g)
    assert table["mean"].iloc[0] == pytest.approx(known.alpha, abs=0.02 * known.effect_se)
    assert table.se.iloc[0] == pytest.approx(known.effect_se, rel=0.15)  # 400 draws know a spread to 3.5 %
    narrow = read_map(map_rho(design)).loc[0.0]
    assert table.high.iloc[0] - table.low.iloc[0] > 1.5 * (narrow.high - narrow.low)
    assert table.low.iloc[0] < 0 < table.high.iloc[0]


@pytest.mark.parametrize("yes", [("T",), ("Y",), ("Y", "T")], ids=str)
def test_a_map_of_every_kind_can_be_drawn_again(yes):
    data, g = villages(4, groups=30, yes=yes)
    design = make_design(data, **FORMULAS)
    table = bootstrap_map(design, g, rho=[-0.4, 0.0, 0.4], replicates=60)
    known = maximum_likelihood(design, rho=[-0.4, 0.0, 0.4], cluster=g)
    np.testing.assert_allclose(table["mean"], known.effect, atol=0.1 * known.effect_se.max())
    np.testing.assert_allclose(table.se, known.effect_se, rtol=0.35)
    assert plot_map(table).get_xlabel().startswith("error correlation")


def test_few_villages_are_given_the_quantile_of_a_t_with_one_degree_less_than_there_are():
    """2.365 for seven degrees of freedom, in Student's table; of the 200 rows it would be 1.97."""
    data, g = villages(5, groups=8, rows=25)
    (found,) = bootstrap_map(make_design(data, **FORMULAS), g, rho=[0.0], replicates=50).itertuples()
    assert (found.high - found.mean) / found.se == pytest.approx(2.3646, abs=1e-4)
    assert (found.mean - found.low) / found.se == pytest.approx(2.3646, abs=1e-4)


def test_every_replicate_measures_the_dose_from_the_mean_of_the_data(monkeypatch):
    """Else each would have its own prior of the intercept: at its own mean dose."""
    data, g = villages(5, groups=8, rows=25)
    seen, effects = [], clusters._effects
    monkeypatch.setattr(clusters, "_effects", lambda design, *rest: seen.append(design) or effects(design, *rest))
    bootstrap_map(make_design(data, **FORMULAS), g, rho=[0.0], replicates=50)
    assert len(seen) == 51 and np.ptp([design.t.mean() for design in seen]) > 0.5
    assert all(np.allclose(design.t - design.dose, data["T"].mean()) for design in seen)


def unequal(seed, sizes):
    """Villages of these sizes, that share half of the variance of either equation's error."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(len(sizes)), sizes)
    T, Y = (rng.normal(size=len(sizes))[g] + rng.normal(size=len(g)) for _ in range(2))
    return pd.DataFrame({"Y": Y, "T": T}), g


def test_uneven_villages_narrow_an_interval_by_more_than_their_mean_size_says():
    """Villages of 2 and of 40: what the errors of statsmodels grow by, with each cluster as one, is 3.2 and not 2.4."""
    sizes, grown, told = np.tile([2, 40], 150), [], []
    for seed in range(8):
        data, g = unequal(seed, sizes)
        line = smf.ols("Y ~ T", data)
        grown.append(line.fit(cov_type="cluster", cov_kwds={"groups": g}).bse["T"] / line.fit().bse["T"])
        told.append(resemblance(make_design(data, outcome="Y ~ T", treatment="T ~ 1"), g).factor)
    assert np.mean(told) == pytest.approx(np.mean(grown), rel=0.06)


def test_resemblance_is_an_analysis_of_variance_and_its_p_value_the_larger_of_two():
    """Five villages of uneven size by textbook: mean squares between and within, and SciPy's F test."""
    data, g = unequal(3, [2, 3, 5, 8, 13])
    found = resemblance(make_design(data, outcome="Y ~ T", treatment="T ~ 1"), g)
    p_values = []
    for values, told in ((smf.ols("Y ~ T", data).fit().resid, found.outcome), (data["T"], found.treatment)):
        parts = [values[g == k] for k in range(5)]
        within = sum(((part - part.mean()) ** 2).sum() for part in parts) / (31 - 5)
        between = (values.var(ddof=0) * 31 - within * (31 - 5)) / 4
        typical = (31 - (4 + 9 + 25 + 64 + 169) / 31) / 4
        assert told == pytest.approx((between - within) / (between + (typical - 1) * within))
        p_values.append(f_oneway(*parts).pvalue)
    assert found.p == pytest.approx(max(p_values)) and min(p_values) < 0.8 * max(p_values)


def test_a_treatment_that_a_village_has_or_has_not_resembles_itself_entirely():
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(40), 10)
    data = pd.DataFrame({"Y": rng.normal(size=40)[g] + 2 * rng.normal(size=400), "T": (g % 2).astype(float)})
    found = resemblance(make_design(data, outcome="Y ~ T", treatment="T ~ 1"), g)
    assert found.treatment == 1.0
    resid = smf.ols("Y ~ T", data).fit().resid
    assert found.p == pytest.approx(f_oneway(*(resid[g == k] for k in range(40))).pvalue)
    assert found.factor == pytest.approx(np.sqrt(1 + 9 * found.outcome))


def test_an_interval_is_not_called_too_narrow_where_half_of_every_village_is_treated():
    """Then it is too wide, if anything: what villages share stands on both sides of the comparison."""
    data, g = unequal(8, [10] * 40)
    data["T"] = np.tile([0.0, 1.0], 200)
    found = resemblance(make_design(data, outcome="Y ~ T", treatment="T ~ 1"), g)
    assert found.outcome > 0.3 and found.treatment < 0 and found.factor == 1.0


def test_resemblance_is_the_share_that_was_built_in():
    """Errors of variance one half shared: an intraclass correlation of 1/2 in each equation."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(200), 10)
    T, Y = (rng.normal(size=200)[g] + rng.normal(size=len(g)) for _ in range(2))
    design = make_design(pd.DataFrame({"Y": Y, "T": T}), outcome="Y ~ T", treatment="T ~ 1")
    found = resemblance(design, g)
    assert (found.outcome, found.treatment) == (pytest.approx(0.5, abs=0.06), pytest.approx(0.5, abs=0.06))
    assert found.clusters == 200 and found.p < 1e-10
    grown = ols(design, cluster=g).bse["alpha"] / ols(design).bse["alpha"]
    assert found.factor == pytest.approx(grown, rel=0.1)  # Moulton's formula and the sandwich
    dealt = resemblance(design, rng.permutation(g))
    assert dealt.p > 1e-3 and dealt.factor < 1.1
