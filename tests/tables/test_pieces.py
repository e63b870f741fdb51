"""Data in pieces: the same numbers as from all rows at once, or a refusal, and nothing lost on the way."""

import os

import dask
import dask.dataframe as dd
import killed
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from dask.distributed import Client, LocalCluster

from helpers import (
    benchmark_rho,
    fit,
    influence,
    joint_model,
    make_design,
    make_report,
    map_rho,
    maximum_likelihood,
    ols,
    potential_outcomes,
    read_map,
    read_table,
    resemblance,
    robustness_value,
    shuffle_test,
    unit_information,
    weigh,
)
from which_world.engine import weighing
from which_world.moments import Moments, condensed
from which_world.priors import scales
from which_world.report.command import main
from which_world.tables import intake
from which_world.tables import pieces as pieces_of

OUTCOME = "y ~ t + x + I(x**2) + site + C(k) + known + level + site:w + I(x > 3001)"
SAME = "I(x - 3000) + I((x - 3000)**2) + C(site) + C(k) + known + C(level) + C(site):w + I(x > 3001)"  # as statsmodels
TREATMENT = "t ~ x + I(x**2) + site + C(k) + known + level + site:w + I(x > 3001) + z"


@pytest.fixture(scope="module")
def table():
    """Rows sorted so that no piece has every site, and one level without a row."""
    rng, n = np.random.default_rng(1), 3_000
    site = np.sort(rng.choice(list("abcd"), n))
    table = pd.DataFrame({
        "x": rng.normal(3_000, 2, n), "w": rng.normal(size=n), "z": rng.normal(size=n), "site": site,
        "k": rng.integers(0, 4, n), "known": rng.random(n) > 0.4,
        "level": pd.Categorical(rng.choice(["low", "high"], n), categories=["low", "middle", "high"]),
    })  # fmt: skip
    V = rng.normal(size=n)
    table["t"] = 1 + 0.3 * table.x + V + 0.5 * table.z
    table["y"] = 3 + 2 * table.t - 0.1 * table.x + (site == "b") + 0.6 * V + 0.8 * rng.normal(size=n)
    return table


@pytest.fixture(scope="module")
def few(table):
    return make_design(dd.from_pandas(table, npartitions=7), outcome=OUTCOME, treatment=TREATMENT)


def test_least_squares_from_pieces_is_that_of_all_rows(table, few):
    """Beside statsmodels, which reads every row and makes its own dummies."""
    theirs = smf.ols(f"y ~ t + {SAME}", table.astype({"level": str})).fit()
    ours = ols(few)
    assert few.n == 3_000 and len(few.y) < 25
    assert ours.params["alpha"] == pytest.approx(theirs.params["t"], rel=1e-8)
    assert ours.bse["alpha"] == pytest.approx(theirs.bse["t"], rel=1e-8)
    assert ours.rsquared == pytest.approx(theirs.rsquared, rel=1e-10)
    assert ours.df_resid == theirs.df_resid
    assert ours.conf_int().loc["alpha"].to_numpy() == pytest.approx(theirs.conf_int().loc["t"].to_numpy(), rel=1e-8)


def test_one_instrument_from_pieces_gives_two_stage_least_squares(table, few):
    stages = [smf.ols(f"{side} ~ {SAME} + z", table.astype({"level": str})).fit().params["z"] for side in "yt"]
    assert maximum_likelihood(few).alpha == pytest.approx(stages[0] / stages[1], rel=1e-7)
    assert few.instruments == ("z",)


def test_the_likelihood_from_pieces_is_that_of_all_rows(table, few):
    """Without a current it is that of two separate lines, as statsmodels has them."""
    plain = table.astype({"level": str})
    theirs = smf.ols(f"y ~ t + {SAME}", plain).fit().llf + smf.ols(f"t ~ {SAME} + z", plain).fit().llf
    assert maximum_likelihood(few, rho=0).log_likelihood == pytest.approx(theirs, rel=1e-10)


def test_covariates_keep_their_means_and_spreads(table, few):
    assert few.scales.loc["x"].tolist() == pytest.approx([table.x.mean(), table.x.std(ddof=0)], rel=1e-10)
    assert few.scales.loc["site[T.d]", "mean"] == pytest.approx((table.site == "d").mean(), rel=1e-10)
    assert few.notes == ("level has no row of the level 'middle', which is left out.",)


def test_what_is_read_from_pieces_is_what_is_read_from_rows(table, few):
    """Eight digits of a map, a reading and a benchmark."""
    whole = make_design(table, outcome=OUTCOME, treatment=TREATMENT)
    assert whole.covariates == few.covariates and len(whole.y) == 3_000
    assert (whole.terms, whole.variables) == (few.terms, few.variables) and "x" in few.terms
    maps = [map_rho(design) for design in (whole, few)]
    assert read_map(maps[1])["mean"].to_numpy() == pytest.approx(read_map(maps[0])["mean"].to_numpy(), rel=1e-8)
    assert maps[1].log_evidence.values == pytest.approx(maps[0].log_evidence.values, rel=1e-8)
    first, second = (weigh(each) for each in maps)
    assert second.alpha.mean().item() == pytest.approx(first.alpha.mean().item(), rel=1e-8)
    pd.testing.assert_frame_equal(benchmark_rho(few), benchmark_rho(whole), rtol=1e-6, atol=1e-5)
    assert robustness_value(few) == pytest.approx(robustness_value(whole), rel=1e-8)
    assert fit(few, draws=500).posterior.alpha.mean().item() == pytest.approx(maximum_likelihood(whole).alpha, abs=0.01)


def test_a_report_of_pieces_says_what_was_not_looked_at(few):
    report = make_report(few)
    assert any("came in pieces" in said for said in report.checks)
    assert report.worlds.loc["OLS", "alpha"] == pytest.approx(ols(few).params["alpha"])


@pytest.mark.parametrize("use", [
    lambda design: joint_model(design),
    lambda design: resemblance(design, np.arange(3_000) // 10),
    lambda design: ols(design, cluster=np.arange(3_000) // 10),
    lambda design: potential_outcomes(fit(design, draws=100), design),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:this posterior")
def test_what_looks_at_each_row_is_refused(few, use):
    with pytest.raises(ValueError, match=r"stands for 3,000 rows in \d+.*accepted is a design of a pandas.DataFrame"):
        use(few)


@pytest.mark.parametrize("change, formulas, match", [
    ({}, {"outcome": "y ~ t * x + z"}, "the effect changes with x"),
    ({}, {"outcome": "y ~ t + poly(x, 2)"}, r"'poly\(x, 2\)' needs a whole column"),
    ({}, {"outcome": "y ~ t + center(x) + z"}, r"'center\(x\)' needs a whole column"),
    ({"w": lambda d: (d.index % 1_000 > 0) - 0.5}, {"outcome": "y ~ t + log(w)"}, r"log\(w\): 3 of 3,000 values are"),
    ({}, {"outcome": "y ~ t + nowhere"}, r"names \['nowhere'\]"),
    ({"x": lambda d: d.x.where(d.index % 1_000 > 0)}, {}, "'x' has 3 missing values .NaN. of 3000 rows"),
    ({"x": lambda d: d.x.where(d.index % 1_500 > 0, np.inf)}, {}, "'x' has 2 infinite"),
    ({"site": lambda d: d.index.astype(str) + "e"}, {}, "'site' holds"),
    ({"t": lambda d: d.k}, {"treatment": "t ~ x", "outcome": "y ~ t + x"}, "the 4 values"),
    ({"y": lambda d: d.y * 0 + 3.7}, {}, "constant at 3.7"),
    ({"w": lambda d: d.w * 0 + 0.1}, {"outcome": "y ~ t + w"}, "'w' is constant at 0.1"),
    ({"w": lambda d: d.x * 2 - d.z}, {"outcome": "y ~ t + x + z + w"}, "collinear"),
    ({"y": lambda d: d.t * 2 - d.x}, {"outcome": "y ~ t + x"}, "exact combination"),
])  # fmt: skip
def test_what_pieces_cannot_carry_is_refused_as_a_whole(table, change, formulas, match):
    data = dd.from_pandas(table.assign(**change), npartitions=5)
    with pytest.raises(ValueError, match=match):
        make_design(data, **({"outcome": OUTCOME, "treatment": TREATMENT} | formulas))


@pytest.mark.parametrize("term, theirs", [
    ("late", "C(late)"), ("last", "last"), ("C(day)", "C(day)"), ("far", "I(far - 1e9)"), ("order", "C(order)"),
    ("C(order, contr.sum)", "C(order)"), ("late:z", "C(late):z"), ("C(k):order", "C(k):C(order)"),
])  # fmt: skip
@pytest.mark.parametrize("cut", [1, 6, "with an empty piece"])
def test_no_piece_need_look_like_the_others(table, term, theirs, cut):
    """Levels that stand in one piece alone, dates as categories, numbers far from zero; and pieces of any size."""
    rng, n = np.random.default_rng(2), len(table)
    data = table.assign(
        late=np.where(np.arange(n) < n - 6, "a", "late"), last=np.arange(n) > n - 9, far=rng.normal(1e9, 3, n),
        day=pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 3, n), unit="D"),
        order=pd.Categorical(rng.choice(["m", "l", "h"], n), categories=["l", "m", "h"], ordered=True),
    )  # fmt: skip
    pieces = dd.from_pandas(data, npartitions=cut if isinstance(cut, int) else 6)
    if not isinstance(cut, int):
        pieces = dd.concat([pieces.partitions[0].loc[pieces.partitions[0].z > 99], pieces])
    ours = make_design(pieces, outcome=f"y ~ t + z + {term}", treatment="t ~ z")
    params = smf.ols(f"y ~ t + z + {theirs}", data.astype({"order": str})).fit().params
    assert ols(ours).params["alpha"] == pytest.approx(params["t"], rel=1e-8)


def test_a_straight_line_through_zeros_and_ones_may_come_in_pieces(table):
    data = table.assign(y=(table.y > table.y.mean()).astype(int))
    ours = make_design(dd.from_pandas(data, npartitions=3), outcome="y ~ t + x", treatment="t ~ x + z",
                       outcome_kind="continuous")  # fmt: skip
    assert ols(ours).params["alpha"] == pytest.approx(smf.ols("y ~ t + x", data).fit().params["t"], rel=1e-8)


def test_parquet_is_read_by_its_path_and_only_in_the_columns_that_are_used(table, tmp_path):
    for part in range(3):
        table[part::3].assign(never="2024-01-01").to_parquet(tmp_path / f"{part}.parquet")
    ours = make_design(tmp_path, outcome="y ~ t + x + site", treatment="t ~ x + site")
    assert ours.n == 3_000
    assert ols(ours).params["alpha"] == pytest.approx(smf.ols("y ~ t + x + C(site)", table).fit().params["t"], rel=1e-8)
    table.to_csv(tmp_path / "tank.csv")
    for path in (tmp_path / "tank.csv", str(tmp_path.parent / "empty")):
        (tmp_path.parent / "empty").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=r"could not be read as Parquet.*a CSV is read by read_table"):
            make_design(path, outcome="y ~ t + x", treatment="t ~ x")
    with pytest.raises(TypeError, match=r"data='nowhere\.parquet'.*the path of a Parquet file that exists"):
        make_design("nowhere.parquet", outcome="y ~ t", treatment="t ~ 1")


def test_a_worker_killed_on_the_way_loses_nothing(table, tmp_path):
    flag = str(tmp_path / "killed")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 3}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        data = dd.from_map(killed.at_once, range(4), table=table, flag=flag, meta=table.iloc[:0])
        ours = make_design(data, outcome="y ~ t + x + site", treatment="t ~ x + site")
    assert os.path.exists(flag) and ours.n == 3_000
    assert ols(ours).params["alpha"] == pytest.approx(smf.ols("y ~ t + x + C(site)", table).fit().params["t"], rel=1e-8)


def test_many_rows_in_memory_make_the_design_that_few_would(table, monkeypatch):
    """The route by blocks against the one by whole columns."""
    plain = make_design(table, outcome=OUTCOME, treatment=TREATMENT)
    monkeypatch.setattr(pieces_of, "MOST_COPIED", 100)
    monkeypatch.setattr(pieces_of, "AT_ONCE", 257)
    blocks = make_design(table, outcome=OUTCOME, treatment=TREATMENT)
    assert blocks.covariates == plain.covariates and blocks.notes == plain.notes and blocks.n == len(blocks.y) == 3_000
    assert blocks.C == pytest.approx(plain.C, abs=1e-9)
    assert np.array_equal(blocks.y, plain.y) and np.array_equal(blocks.t, plain.t)
    binary = table.assign(t=(table.t > table.t.mean()).astype(int))
    assert make_design(binary, outcome=OUTCOME, treatment=TREATMENT).kind == "binary"
    assert make_design(table, outcome="y ~ t * x", treatment="t ~ x").moderators == ("x",)
    assert (
        "poly(x, degree=2)[1]" in make_design(table, outcome="y ~ t + poly(x, degree=2)", treatment="t ~ x").covariates
    )


@pytest.mark.parametrize("cuts", [[500], [7, 250, 251], [1, 2, 3, 4]])
def test_moments_of_parts_are_those_of_the_whole(cuts):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(1e6, 1, 1_000), rng.exponential(size=1_000), np.full(1_000, 0.1)])
    first, *rest = map(Moments.of, np.split(rows, cuts))
    whole = sum(rest, first)
    few = whole.few()
    assert few.shape == (4, 3)
    assert few.mean(axis=0) == pytest.approx(rows.mean(axis=0), rel=1e-12)
    assert np.cov(few.T, ddof=0) == pytest.approx(np.cov(rows.T, ddof=0), abs=1e-8)
    assert (few[:, 2] == 0.1).all() and whole.n == 1_000


def test_a_condensed_design_is_one_of_all_its_rows(table):
    design = make_design(table, outcome="y ~ t + x", treatment="t ~ x + z")
    assert condensed(design).n == 3_000 and len(condensed(design).y) == 5
    moderated = make_design(table, outcome="y ~ t * x", treatment="t ~ x + z")
    assert condensed(moderated) is moderated


def test_the_report_of_a_parquet_file_is_that_of_its_rows(table, tmp_path, monkeypatch):
    """As a table while it is small, in pieces when it is not."""
    path, formulas = tmp_path / "tank.parquet", {"outcome": "y ~ t + x + site", "treatment": "t ~ x + site"}
    table.to_parquet(path)
    theirs = smf.ols("y ~ t + x + C(site)", table).fit().params["t"]
    small = read_table(path, **formulas)
    assert len(small.data) == 3_000
    with pytest.raises(ValueError, match="is Parquet, whose values need no marks"):
        read_table(path, **formulas, decimal=",", separator=";")
    monkeypatch.setattr(intake, "LARGE", 1_000)
    large = read_table(path, **formulas)
    assert large.data == path
    for read in (small, large):
        design = make_design(read.data, outcome=read.outcome, treatment=read.treatment)
        assert make_report(design).worlds.loc["OLS", "alpha"] == pytest.approx(theirs, rel=1e-8)
    with pytest.raises(ValueError, match="no rows are dropped"):
        read_table(path, **formulas, drop_missing=True)
    (tmp_path / "no.parquet").write_text("y,t\n1,2\n")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="could not be read as Parquet"):
        read_table(tmp_path / "no.parquet", **formulas)


def test_the_command_line_reads_parquet_in_pieces(table, tmp_path, monkeypatch, capsys):
    path = tmp_path / "tank.parquet"
    table.to_parquet(path)
    monkeypatch.setattr(intake, "LARGE", 1_000)
    main([str(path), "--outcome", "y ~ t + x", "--treatment", "t ~ x", "--out", str(tmp_path / "report")],
         standalone_mode=False)  # fmt: skip
    theirs = smf.ols("y ~ t + x", table).fit().params["t"]
    assert f"slope of y on t is {theirs:.3f}"[:-1] in capsys.readouterr().out
    assert "came in pieces" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_a_large_csv_whose_parts_disagree_is_read_whole(tmp_path, monkeypatch):
    """As pandas reads it at once: a stray word far down makes text of the column, which is then refused by name."""
    monkeypatch.setattr(intake, "PARSED_AT_ONCE", 50)
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(180, 3)), columns=["y", "t", "x"])
    whole = np.arange(180)
    data["k"] = [str(i) if i < 120 else f"{i}.5" for i in whole]  # whole numbers above, halves below
    data.to_csv(tmp_path / "whole.csv", index=False)
    read = read_table(tmp_path / "whole.csv", outcome="y ~ t + x + k", treatment="t ~ x + k").data
    pd.testing.assert_frame_equal(read, pd.read_csv(tmp_path / "whole.csv"))
    data["k"] = np.where(whole < 120, (whole % 3).astype(str), "x")  # 0 and "0" would be two levels
    data.to_csv(tmp_path / "coded.csv", index=False)
    read = read_table(tmp_path / "coded.csv", outcome="y ~ t + C(k)", treatment="t ~ x").data
    pd.testing.assert_frame_equal(read, pd.read_csv(tmp_path / "coded.csv"))
    data.astype({"x": object}).assign(x=data.x.astype(object).where(data.index != 150, "n.a.?")).to_csv(
        tmp_path / "stray.csv", index=False
    )
    with pytest.raises(ValueError, match=r"'x' holds 179 numbers and 'n.a.\?' .row 151."):
        read_table(tmp_path / "stray.csv", outcome="y ~ t + x", treatment="t ~ x")


PAIRS = [("y", "choice"), ("yes", "dose"), ("answer", "choice")]  # of outcome and treatment, one binary at least
SITES = "x + w + C(site)"


@pytest.fixture(scope="module")
def responses():
    """Continuous and binary outcomes and treatments, in rows that are sorted by the treatment."""
    rng, n = np.random.default_rng(4), 3_000
    data = pd.DataFrame({"x": rng.normal(5, 2, n), "w": rng.normal(size=n), "z": rng.normal(size=n)})
    data["site"] = rng.choice(list("abcd"), n)
    V, U = rng.multivariate_normal([0, 0], [[1, 0.4], [0.4, 1]], n).T
    data["dose"] = 0.2 * data.x - 1 + 0.5 * data.z + 0.4 * (data.site == "b") + V
    data["choice"] = (data.dose > 0).astype(int)
    data["y"] = 3 + 0.5 * data.choice + 0.3 * data.w + U
    data["answer"] = (0.5 * data.choice + 0.3 * data.w - 0.4 + U > 0).astype(int)
    data["yes"] = (0.4 * data.dose + 0.3 * data.w - 0.4 + U > 0).astype(int)
    return data.sort_values("dose", ignore_index=True)


def both(data, outcome, treatment, monkeypatch, covariates=SITES, **options):
    """The same design of rows in memory and of rows in pieces of unlike sizes, of which a part is held."""
    monkeypatch.setattr(pieces_of, "PART", 700)
    formulas = {"outcome": f"{outcome} ~ {treatment} + {covariates}", "treatment": f"{treatment} ~ {covariates} + z"}
    large, small = dd.from_pandas(data[:1_000], npartitions=1), dd.from_pandas(data[1_000:], npartitions=4)
    pieces = dd.concat([large.loc[large.z > 99], large, small])
    return [make_design(each, **formulas, **options) for each in (data, pieces)]


@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_rows_in_pieces_say_what_rows_in_memory_say(responses, outcome, treatment, monkeypatch):
    """Estimates at three ρ and over all, priors, and a map, of rows of which a quarter are held."""
    whole, pieces = both(responses, outcome, treatment, monkeypatch)
    assert pieces.n == 3_000 and len(pieces.y) < 12 and 500 < pieces.all_rows.part(pieces).n < 900
    for rho in ([-0.5, 0.0, 0.5], None):
        one, two = (maximum_likelihood(design, rho=rho) for design in (whole, pieces))
        assert np.abs((two.estimates - one.estimates) / one.standard_errors).to_numpy().max() < 2e-4
        assert two.effect == pytest.approx(one.effect, rel=1e-4) and two.effect_se == pytest.approx(one.effect_se, 1e-5)
        assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-10)
    for one, two in zip(scales(whole), scales(pieces)):
        assert two == pytest.approx(one, rel=1e-6, abs=1e-9)
    charts = [map_rho(design, rho=np.tanh(np.linspace(-1.5, 1.5, 16))) for design in (whole, pieces)]
    apart = (read_map(charts[1]) - read_map(charts[0]))[["mean", "low", "high"]].to_numpy()
    assert np.abs(apart / charts[0].effect.std("draw").values[:, None]).max() < 0.001
    assert charts[1].log_evidence.values == pytest.approx(charts[0].log_evidence.values, abs=1e-4)
    assert robustness_value(pieces) == pytest.approx(robustness_value(whole), rel=1e-8)
    assert charts[1].attrs["pulled"] == pytest.approx(charts[0].attrs["pulled"], abs=1e-3)


def test_without_a_current_pieces_say_what_statsmodels_says(responses, monkeypatch):
    """The probit of all rows, its log-likelihood, and the average difference in chances with its standard error."""
    _, pieces = both(responses, "answer", "choice", monkeypatch)
    ours = maximum_likelihood(pieces, rho=0)
    outcome = smf.probit(f"answer ~ choice + {SITES}", responses).fit(disp=0)
    treatment = smf.probit(f"choice ~ {SITES} + z", responses).fit(disp=0)
    assert ours.log_likelihood == pytest.approx(outcome.llf + treatment.llf, rel=1e-10)
    assert ours.alpha == pytest.approx(outcome.params["choice"], rel=1e-5)
    assert ours.standard_errors["alpha"] == pytest.approx(outcome.bse["choice"], rel=1e-5)
    assert ours.estimates["beta_T[z]"] / responses.z.std(ddof=0) == pytest.approx(treatment.params["z"], rel=1e-5)
    taken, left = (outcome.predict(responses.assign(choice=choice)).mean() for choice in (1, 0))
    assert ours.effect == pytest.approx(100 * (taken - left), rel=1e-5)
    chart = map_rho(pieces, rho=np.linspace(-0.2, 0.2, 5), coefficients=unit_information(rows=1e-6))
    assert read_map(chart).loc[0.0, "mean"] == pytest.approx(ours.effect, abs=0.03 * ours.effect_se)


def test_weights_are_drawn_from_all_rows_where_they_are_many(responses, monkeypatch):
    """A few draws are weighed, or all of them where these are not calm; both as in memory."""
    whole, pieces = both(responses, "yes", "dose", monkeypatch)
    monkeypatch.setattr(weighing, "WORK", 1_000)
    for calm in (0.2, 0.0):
        monkeypatch.setattr(weighing, "CALM", calm)
        one, two = (read_map(map_rho(design, rho=np.linspace(-0.5, 0.5, 7))) for design in (whole, pieces))
        assert two.to_numpy() == pytest.approx(one.to_numpy(), rel=1e-4)


def test_a_dose_is_moved_by_the_same_step(responses, monkeypatch):
    for unit, step in [(1.0, None), (50.0, None), (0.01, None), (1.0, 0.3)]:
        whole, pieces = both(responses.assign(dose=responses.dose * unit), "yes", "dose", monkeypatch, step=step)
        assert pieces.step == whole.step


@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_a_rare_level_that_no_part_holds_is_found_in_all_rows(responses, outcome, treatment, monkeypatch):
    """Ten rows, two of each piece, none of which is held: their coefficient starts from its prior."""
    monkeypatch.setattr(pieces_of, "crc32", lambda _: 0)  # every piece holds rows of the same places
    left_out = np.flatnonzero(np.random.default_rng(0).random(500) > 700 / 3_000)[[0, -1]]
    place = np.add.outer([0, 1_000, 1_500, 2_000, 2_500], left_out).ravel()
    rare = responses.assign(site=np.where(np.isin(np.arange(3_000), place), "rare", responses.site))
    whole, pieces = both(rare, outcome, treatment, monkeypatch)
    assert pieces.all_rows.some["C(site)[T.rare]"].sum() == 0 and rare.loc[place, "choice"].nunique() == 2
    one, two = (maximum_likelihood(design, rho=0.2) for design in (whole, pieces))
    assert two.effect == pytest.approx(one.effect, rel=1e-4)
    assert np.abs((two.estimates - one.estimates) / one.standard_errors).max() < 2e-4


def test_what_separates_all_rows_is_refused_by_name(responses, monkeypatch):
    rare = responses.assign(site=responses.site.where(responses.index < 2_994, "rare"))  # of the highest doses
    with pytest.raises(ValueError, match=r"perfect separation: .*C\(site\)\[T.rare\].* predicts the treatment"):
        both(rare, "y", "choice", monkeypatch)
    with pytest.raises(ValueError, match=r"perfect separation.*\['the intercept', 'choice'\].*the outcome 'answer'"):
        data = responses.assign(answer=responses.answer * responses.choice)
        lazy = dd.from_pandas(data, npartitions=5)
        make_design(lazy, outcome=f"answer ~ choice + {SITES}", treatment=f"choice ~ {SITES}")


def test_a_level_in_which_nobody_said_yes_is_carried_by_its_prior_in_pieces(responses, monkeypatch):
    rare = responses.assign(site=responses.site.where(responses.index % 300 > 0, "rare"))
    rare["yes"] = rare.yes * (rare.site != "rare")
    whole, pieces = both(rare, "yes", "dose", monkeypatch)
    with pytest.raises(ValueError, match=r"'C\(site\)\[T.rare\]'.*maximum likelihood estimate is infinite"):
        maximum_likelihood(pieces, rho=0)
    one, two = (map_rho(design, rho=np.linspace(-0.5, 0.5, 7)) for design in (whole, pieces))
    sd = one.effect.std("draw").values[:, None]
    assert np.abs((read_map(two) - read_map(one))[["mean", "low", "high"]].to_numpy() / sd).max() < 0.02


@pytest.mark.parametrize("use", [
    benchmark_rho, make_report, shuffle_test, influence, joint_model, fit,
    lambda design: maximum_likelihood(design, rho=0, cluster=np.arange(3_000) // 10),
])  # fmt: skip
def test_what_would_read_pieces_again_and_again_is_refused(responses, use, monkeypatch):
    _, pieces = both(responses, "y", "choice", monkeypatch)
    monkeypatch.setattr(pieces_of, "_gathered", lambda *_: pytest.fail("rows were read"))
    with pytest.raises(ValueError, match=r"3,000 rows.*data.sample\(frac=0.01\).compute\(\)"):
        use(pieces)


def test_a_worker_killed_in_the_middle_of_a_map_loses_nothing(responses, tmp_path, monkeypatch):
    whole, _ = both(responses, "y", "choice", monkeypatch)
    monkeypatch.setattr(weighing, "WORK", 1_000)  # as many rows are mapped, in fewer readings
    rho = np.tanh(np.linspace(-1, 1, 7))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 3}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        data = dd.from_map(killed.late, range(4), table=responses, folder=str(tmp_path), meta=responses.iloc[:0])
        pieces = make_design(data, outcome=f"y ~ choice + {SITES}", treatment=f"choice ~ {SITES} + z")
        assert len(os.listdir(tmp_path)) == 2  # the design was read in peace
        found = read_map(map_rho(pieces, rho=rho))
    assert len(os.listdir(tmp_path)) == 5
    assert found.to_numpy() == pytest.approx(read_map(map_rho(whole, rho=rho)).to_numpy(), rel=1e-3)
