"""What a report sees in the data before it computes: overlap, shape, groups of rows."""

import re

import numpy as np
import pandas as pd
import pytest
from ponds import attempt, tank

from helpers import make_design, make_report, read_table
from which_world.report.examine import data_checks


def test_overlap_is_judged_by_rows_and_by_gaps_apart():
    x, e, V = np.random.default_rng(1).normal(size=(3, 800))
    apart = pd.DataFrame({"x": x, "t": (0.5 * x + V > 0).astype(int), "y": e})
    far = apart.assign(t=(4 * x + V > 0).astype(int))
    near, wide = (next(line for line in data_checks(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
                       if "differ most" in line) for data in (apart, far))  # fmt: skip
    assert "has to carry the comparison" in near and "extrapolate" not in near
    assert "extrapolate: few comparable rows" in wide


def test_an_outcome_of_zeros_and_ones_has_no_shape():
    data = tank(1.0).assign(w=lambda d: (d.y > 0).astype(int))
    said = data_checks(make_design(data, outcome="w ~ t + x", treatment="t ~ x", outcome_kind="continuous"))[-1]
    assert said.startswith("w has only the values 0 and 1") and "share" in said
    heaps = data.assign(w=lambda d: np.sign(d.z) * 5 + 0.1 * d.x)
    assert "far from the normal shape" in data_checks(make_design(heaps, outcome="w ~ t + x", treatment="t ~ x"))[-1]
    assert "not far" not in data_checks(make_design(heaps, outcome="w ~ t + x", treatment="t ~ x"))[-1]


def test_a_binary_treatment_has_no_unit_and_a_categorical_covariate_is_listed():
    data = tank(1.0).assign(t=lambda d: (d.t > 0).astype(int), site=lambda d: np.where(d.z > 0, "a", "b"))
    binary = make_report(make_design(data, outcome="y ~ t + x + site", treatment="t ~ x + site"))
    assert binary.paragraph.startswith("Among 600 rows, t = 1 goes with a difference of")
    assert "slope" not in binary.paragraph
    assert binary.assumptions[1] == "t has the same effect α for every row."
    assert "site is categorical, with 2 levels." in binary.checks
    assert re.search(r"in \d+ of 100 shuffles, .* about 5 at most\. Passing is no acquittal", binary.checks[-1])


def villages(tmp_path, *, resemble=True, seed=1):
    """Sixty villages of twenty rows; no effect, no current; villages that share what moves both, or do not."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(60), 20)
    shared = g if resemble else rng.permutation(g)
    t = rng.normal(size=60)[shared] + 0.5 * rng.normal(size=1200)
    y = rng.normal(size=60)[shared] + rng.normal(size=1200)
    data = pd.DataFrame({"y": y, "t": t, "the village": [f"no {k}" for k in g], "person": range(1200), "sex": g % 2,
                         "shoe": rng.integers(36, 46, 1200), "height": rng.normal(170, 9, 1200)})  # fmt: skip
    data.to_csv(tmp_path / "villages.csv", index=False)
    return tmp_path / "villages.csv"


def test_clusters_in_the_file_are_spoken_of(tmp_path):
    """Moulton's factor here is 2.8, as statsmodels' clustered error is 3.2 times the usual one."""
    done = attempt(tmp_path / "out", csv=villages(tmp_path), outcome="y ~ t", treatment="t ~ 1")
    assert "same value of 'the village' resemble each other" in done.stdout
    assert re.search(r"too narrow, by a factor of about (3|2\.8)", done.stdout)
    assert not re.search("person|shoe|height|sex", done.stdout)
    assert "bootstrap_map" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_report_takes_the_table_whole(tmp_path):
    """What was dropped, renamed and left out of the formulas is what was written into the file."""
    data = pd.read_csv(villages(tmp_path)).rename(columns={"y": "the gain"})
    data.loc[[3, 5], "the gain"] = np.nan
    data.loc[7, "t"] = -50.0  # whose logarithm is undefined
    formulas = {"outcome": "`the gain` ~ I(log(t + 10))", "treatment": "I(log(t + 10)) ~ 1"}
    table = read_table(data, **formulas, drop_missing=True)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    report = make_report(design, table=table)
    assert report.dropped == 3 and report.design.n == 1197
    assert "1,197 rows are used; 3 of 1,200 were dropped" in report.checks[0]
    assert any("the_gain is 'the gain'" in sentence for sentence in report.checks)
    assert any("log(t + 10) in 1." in sentence for sentence in report.checks)
    assert list(report.identifiers.index) == ["'the village'"]
    told = {name: getattr(table, name) for name in ("data", "dropped", "names", "undefined")}
    one_by_one = make_report(design, **told)
    assert one_by_one.paragraph == report.paragraph and one_by_one.checks == report.checks
    pd.testing.assert_frame_equal(one_by_one.worlds, report.worlds)
    for name, value in told.items():
        with pytest.raises(ValueError, match=f"{name}=.* is told twice"):
            make_report(design, table=table, **{name: value})
    with pytest.raises(ValueError, match=r"data=.*accepted is the 1,197 rows"):
        make_report(design, table=table._replace(data=data))
    on_disk = make_report(design, table=table._replace(data=tmp_path / "villages.csv"))
    assert on_disk.dropped == 3 and on_disk.identifiers.empty


def test_rows_that_do_not_resemble_are_looked_through_and_left_alone(tmp_path):
    csv = villages(tmp_path, resemble=False)
    attempt(tmp_path / "out", csv=csv, outcome="y ~ t", treatment="t ~ 1")
    said = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "Looked through for clusters: 'the village' and 'shoe'; no column marks rows alike" in said
    assert "too narrow" not in said
