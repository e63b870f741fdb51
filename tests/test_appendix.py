"""What the appendices promise: tests that exist, and formulas that no other test checks."""

import ast
import hashlib
import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.integrate import quad
from scipy.stats import norm

ROOT = Path(__file__).parent.parent
APPENDICES = sorted((ROOT / "book").glob("appendix-*.md"))
PEERS = {"method", "outcome", "treatment", "instruments", "rho"}  # what a row of either table is about
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", "".join(p.read_text("utf-8") for p in APPENDICES))))


def test_the_derivations_name_tests():
    text = (ROOT / "book" / "appendix-derivations.md").read_text(encoding="utf-8")
    silent = [part.splitlines()[0] for part in text.split("\n## ")[1:] if "`tests/" not in part]
    assert silent == []
    assert len(NAMED) > 25


@pytest.mark.parametrize("file, name", NAMED, ids=lambda value: value.removeprefix("tests/"))
def test_a_test_that_is_named_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def direct(reduced):
    """(α, β_O, intercept_O, σ_U, ρ) from (d, b, b₀, σ_e, ρ), at β_T = 0.7, intercept_T = 0.2 and σ_V = 1.5."""
    d, b, b0, sigma_e, rho = reduced
    kappa = rho / np.sqrt(1 - rho**2) * sigma_e / 1.5
    return np.array([d - kappa, b + kappa * 0.7, b0 + kappa * 0.2, sigma_e / np.sqrt(1 - rho**2), rho])


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.3, 0.9])
def test_the_jacobian_of_the_reduced_form(rho):
    at, step = np.array([2.0, -1.0, 0.5, 1.3, rho]), 1e-6
    J = np.column_stack([(direct(at + e) - direct(at - e)) / (2 * step) for e in step * np.eye(5)])
    assert abs(np.linalg.det(J)) == pytest.approx(1 / np.sqrt(1 - rho**2), rel=1e-6)


@pytest.mark.parametrize("t", [0, 1])
@pytest.mark.parametrize("eta", [-2.0, 0.0, 0.7])
def test_the_inverse_mills_ratio_is_the_mean_of_the_truncated_error(eta, t):
    rho, sigma_U, q = -0.4, 2.5, 2 * t - 1
    ends = (-eta, np.inf) if t else (-np.inf, -eta)
    mass, first = (quad(lambda v, k=k: v**k * norm.pdf(v), *ends)[0] for k in (0, 1))
    assert rho * sigma_U * first / mass == pytest.approx(
        rho * sigma_U * q * norm.pdf(eta) / norm.cdf(q * eta), rel=1e-7
    )


def test_the_pages_made_by_code_are_those_that_are_stored():
    pages = runpy.run_path(str(ROOT / "book" / "appendices.py"))["PAGES"]
    made = {page: make() for page, make in pages.items() if page != "appendix-diagnostics.md"}
    stored = {page: (ROOT / "book" / page).read_text(encoding="utf-8") for page in made}
    assert len(made) > 10
    assert [page for page in made if made[page] != stored[page]] == [], "run: python book/appendices.py"


def test_the_contents_list_each_page_of_the_reference():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"file: book/(reference-[\w-]+)", contents)
    assert listed == [path.removesuffix(".md") for path in runpy.run_path(str(ROOT / "book" / "appendices.py"))["PAGES"]
                      if path.startswith("reference-")]  # fmt: skip
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "book").glob("reference-*.md"))


@pytest.mark.parametrize("table", ["peers", "peers_seconds"])
def test_the_peers_are_those_of_the_script_that_is_stored(table):
    script = ROOT / "tests" / "benchmarks" / "peers.py"
    stored = pd.read_csv(script.with_name(f"{table}.csv"))
    assert set(stored.script) == {hashlib.sha256(script.read_bytes()).hexdigest()}
    assert not stored.duplicated([name for name in stored if name in PEERS]).any()


def test_the_diagnostics_are_those_of_the_stored_chapters():
    """Names and verdicts; the figures themselves change a little each time a chapter is run."""
    made = runpy.run_path(str(ROOT / "book" / "appendices.py"))["PAGES"]["appendix-diagnostics.md"]()
    stored = (ROOT / "book" / "appendix-diagnostics.md").read_text(encoding="utf-8")
    plain = [re.sub(r"[\d.]+", "#", page) for page in (made, stored)]
    assert plain[0] == plain[1], "run: python book/appendices.py"


DOCSTRING = """A loss, in what `unit` says.

Parameters
----------
unit : str
    Of the loss.

See Also
--------
decide, weigh : what takes a loss, with <options>
    of its own.

Examples
--------
A loss of nothing:

>>> loss("kg")
array([0., 0.])

>>> for unit in ["kg"]:
...     print(unit)
kg
"""
RENDERED = """A loss, in what `unit` says.

**Parameters**

- `unit`: str. Of the loss.

**See Also**

- `decide`, `weigh`: what takes a loss, with \\<options\\> of its own.

**Examples**

A loss of nothing:

```pycon
>>> loss("kg")
array([0., 0.])
```

```pycon
>>> for unit in ["kg"]:
...     print(unit)
kg
```"""


LONG = np.zeros(99)


def a_function(
    map: pd.DataFrame,
    *,
    generator: "np.random.Generator | None" = None,
    values: np.ndarray = LONG,
    unit="kg",
) -> "pd.Series": ...


def test_a_docstring_is_rendered_with_its_examples_and_its_signature():
    page = runpy.run_path(str(ROOT / "book" / "appendices.py"))
    assert page["_body"](DOCSTRING) == RENDERED
    assert page["_signature"](a_function).splitlines() == [
        "(",
        "    map: DataFrame,",
        "    *,",
        "    generator: Generator | None = None,",
        "    values: np.ndarray = ...,",
        "    unit='kg',",
        ") -> Series",
    ]


def test_what_one_types_into_a_terminal_can_be_pasted():
    """Outside literals a page turns two hyphens into a dash, and straight quotes into curly ones."""
    page = (ROOT / "book" / "reference-report.md").read_text(encoding="utf-8")
    part = page.split("## The command line")[1]
    assert '`--option "as now=0,0" --option "all=2.5,1"`' in part and '`--label wt82_71="the weight gain"`' in part
    assert not set(re.findall(r'--\w+|"', re.sub(r"`[^`]*`", "", part)))


def test_how_large_a_rho_is():
    """Shares of variance, by hand; and the robustness value: f² = s²/(1 - s), and f/√(1 + f²) is the ρ of the ridge."""
    mine, theirs = np.r_[np.ones(5), np.zeros(4)], np.r_[np.zeros(4), np.ones(5)]  # the fifth lies on the table
    assert mine @ theirs / np.sqrt((mine @ mine) * (theirs @ theirs)) == pytest.approx(0.2)
    said = (ROOT / "book" / "appendix-rho.md").read_text(encoding="utf-8")
    for d in (0.2, 0.5, 0.8, 1, 13 / 7):
        assert f"{d**2 / (d**2 + 4):.2f} |" in said
    for sd in (0.05, 0.1, 0.2, 0.3, 0.5):
        assert f"±{np.tanh(1.96 * sd):.2f} |" in said
    f = 0.61 / np.sqrt(1 - 0.61)
    assert f / np.sqrt(1 + f**2) == pytest.approx(0.61 / np.sqrt(1 - 0.61 + 0.61**2)) == pytest.approx(0.70, abs=0.005)


@pytest.mark.parametrize("treated, row", [(0.5, "0.80 | 0.64 | 13 %"), (0.25, "0.73 | 0.54 | 11 %"),
                                          (0.1, "0.58 | 0.34 | 7 %")])  # fmt: skip
def test_an_answer_holds_less_of_a_cause_than_what_moved_it(treated, row):
    """Fish that a hidden cause moves, the water without effect: each fish, moved, fares as it did where it was."""
    rng, n, share = np.random.default_rng(3), 400_000, 0.2
    H, own_V, own_U = rng.normal(size=(3, n))
    V, U = (np.sqrt(share) * H + np.sqrt(1 - share) * own for own in (own_V, own_U))
    warm = norm.ppf(treated) + V > 0
    in_cold, in_warm = 1 + U, 1 + U
    Y = np.where(warm, in_warm, in_cold)
    assert (in_warm - in_cold).mean() == 0  # what least squares finds is the current
    c = norm.pdf(norm.ppf(treated)) / np.sqrt(treated * (1 - treated))
    of_answer = np.corrcoef(warm, H)[0, 1] ** 2
    assert of_answer == pytest.approx(c**2 * share, abs=0.002)
    assert row == f"{c:.2f} | {c**2:.2f} | {of_answer:.0%}".replace("%", " %")
    assert row in (ROOT / "book" / "appendix-rho.md").read_text(encoding="utf-8")
    r = np.corrcoef(warm, Y)[0, 1]
    f = abs(r) / np.sqrt(1 - r**2)  # partial Cohen's f of the treatment, as Cinelli & Hazlett (2020) have it
    rv = (np.sqrt(f**4 + 4 * f**2) - f**2) / 2
    assert rv / (c * np.sqrt(1 - rv + rv**2)) == pytest.approx(share, abs=0.005)  # ρ = √(0.2 · 0.2)


def test_the_smokers_robustness_value_is_their_tipping_point():
    """By least squares and a probit of statsmodels; the map's own is 0.196."""
    covariates = "age + race + sex + smokeintensity + smokeyrs + wt71 + C(active) + C(education) + C(exercise)"
    people = pd.read_csv(ROOT / "data" / "nhefs.csv")
    least = smf.ols(f"wt82_71 ~ qsmk + {covariates}", people).fit()
    rest = smf.ols(f"qsmk ~ {covariates}", people).fit().resid
    index = smf.probit(f"qsmk ~ {covariates}", people).fit(disp=0).fittedvalues
    c = norm.pdf(index).mean() / np.sqrt(np.mean(rest**2))
    f = (least.tvalues["qsmk"] - 1.96) / np.sqrt(least.df_resid)
    rv = (np.sqrt(f**4 + 4 * f**2) - f**2) / 2
    rho = rv / (c * np.sqrt(1 - rv + rv**2))
    said = f"with $c$ = {c:.2f}, the {100 * rv:.0f} % that bring the interval to zero are ρ = {rho:.2f}"
    assert said in (ROOT / "book" / "appendix-rho.md").read_text(encoding="utf-8")
