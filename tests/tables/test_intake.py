"""What comes in: rows and texts of a file, what is a code or missing, answers that are no numbers."""

import re
import shlex
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from lands import FORMULAS, alpha, attempt

from helpers import make_design, read_table
from which_world.tables import intake


@pytest.fixture(scope="module")
def lands():
    """Namibia is NA, and what the treatment does there is another thing."""
    rng, n = np.random.default_rng(4), 200
    land = rng.choice(["NA", "SA", "ET"], n)
    t = rng.normal(size=n)
    y = np.where(land == "NA", 5.0, 1.0) * t + rng.normal(size=n)
    return pd.DataFrame({"y": y, "t": t, "land": land, "age": rng.integers(18, 80, n), "word": land})


def right(data, formula="y ~ t * land"):
    """The effect averaged over the rows' lands, by statsmodels alone."""
    fit = smf.ols(formula, data).fit()
    more, less = (fit.predict(data.assign(t=data.t + step)) for step in (1, 0))
    return (more - less).mean()


@pytest.mark.parametrize("code", ["NA", "None", "null", "n/a", "NULL", "N/A", "nan", "NaN", "<NA>", "#N/A"])
@pytest.mark.parametrize("missing", ["", [""], [], {"land": ""}, {"land": [""]}, {"land": []}, "never", {"land": "x"}])
def test_a_code_that_others_take_for_missing_is_a_category(lands, code, missing, tmp_path):
    data = lands.replace({"land": {"NA": code}})
    data.to_csv(tmp_path / "lands.csv", index=False)
    table = read_table(tmp_path / "lands.csv", **FORMULAS, missing=missing)
    assert table.dropped == 0 and sorted(table.data.land.unique()) == sorted({code, "SA", "ET"})
    assert alpha(table) == pytest.approx(right(lands.replace({"land": {"NA": "Namibia"}})), rel=1e-9)


def test_the_refusal_names_the_text_and_both_ways_and_each_way_works(lands, tmp_path, read_only):
    data = lands.assign(land=lands.land.where(lands.index > 2))  # three empty fields besides
    data.to_csv(tmp_path / "lands.csv", index=False)
    often = int((data.land == "NA").sum())
    with pytest.raises(ValueError, match=rf"'land' has {often + 3}\).*'land' is the text 'NA' in {often},") as refusal:
        read_table(tmp_path / "lands.csv", **FORMULAS)
    assert "drop_missing=True" in str(refusal.value) and "missing={'land': ''}" in str(refusal.value)
    options = shlex.split(re.search(r"--missing \S+", str(refusal.value))[0])
    assert "--missing land= (" in attempt(tmp_path / "out", tmp_path / "lands.csv").output
    kept = read_table(tmp_path / "lands.csv", **FORMULAS, drop_missing=True, missing={"land": ""})
    assert kept.dropped == 3 and alpha(kept) == pytest.approx(right(data.dropna()), rel=1e-9)
    lost = read_table(tmp_path / "lands.csv", **FORMULAS, drop_missing=True)
    assert lost.dropped == often + 3
    notes = make_design(lost.data, outcome=lost.outcome, treatment=lost.treatment).notes
    assert [f"land is the text 'NA' in {often}" in note and options[1] in note for note in notes] == [True]
    done = attempt(tmp_path / "out", tmp_path / "lands.csv", *options, "--drop-missing")
    assert "n=197" in done.output and "dropping 3" in done.output and "land is the text" not in done.output
    done = attempt(tmp_path / "out", tmp_path / "lands.csv", "--drop-missing")
    assert f"land is the text 'NA' in {often}" in done.output


def test_what_is_missing_is_said_of_all_columns_or_of_one(lands, tmp_path):
    data = lands.assign(age=lands.age.astype(object).where(lands.index % 20 != 0, "NA"))
    data.loc[data.index % 20 == 1, "age"] = -99
    path = tmp_path / "lands.csv"
    data.to_csv(path, index=False)
    formulas = {"outcome": "y ~ t * land + age", "treatment": "t ~ land + age"}
    with pytest.raises(ValueError, match=r"'age' holds 190 numbers and 'NA' .*say so as well: --missing age=NA"):
        read_table(path, **formulas, missing="")
    with pytest.raises(ValueError, match=r"'age' has 10.*'land' is the text 'NA'"):
        read_table(path, **formulas)
    one = read_table(path, **formulas, missing={"land": "", "age": ["NA", "-99"]}, drop_missing=True)
    assert one.dropped == 20 and one.data.age.min() >= 18 and set(one.data.land) == {"NA", "SA", "ET"}
    assert read_table(path, **formulas, missing={"land": ""}, drop_missing=True).dropped == 10
    assert read_table(path, **formulas, missing=["-99", "NA", "SA"], drop_missing=True).data.land.unique() == ["ET"]
    with pytest.raises(ValueError, match="names 'nobody', which the file does not have; accepted are its columns"):
        read_table(path, **formulas, missing={"nobody": "x"})
    with pytest.raises(ValueError, match="nothing for a data frame"):
        read_table(lands, **formulas, missing="")
    several = attempt(tmp_path / "out", path, "--missing", "land=", "--missing", "-99")
    assert several.exit_code == 1 and "for all columns, or NAME=TEXT for each" in several.output


def test_names_with_spaces_are_said_as_they_stand_in_the_file(lands, tmp_path):
    path = tmp_path / "lands.csv"
    lands.rename(columns={"land": "home land"}).to_csv(path, index=False)
    formulas = {"outcome": "y ~ t * `home land`", "treatment": "t ~ `home land`"}
    with pytest.raises(ValueError, match=r"--missing 'home land=' \(missing=\{'home land': ''\}\)"):
        read_table(path, **formulas)
    assert read_table(path, **formulas, missing={"home land": ""}).dropped == 0


CODES = [-99, 999999, -2147483648, 99]


@pytest.mark.parametrize("code", CODES)
def test_the_answer_to_a_question_about_a_code_works_as_it_stands(code, tmp_path, read_only):
    rng, n = np.random.default_rng(12), 400
    scale = rng.integers(1, 8, n)
    t = 0.5 * scale + rng.normal(size=n)
    data = pd.DataFrame({"y": t - scale + rng.normal(size=n), "t": t, "scale": scale})
    held = np.where(rng.random(n) < 0.03, code, scale)
    path, formulas = tmp_path / "asked.csv", {"outcome": "y ~ t + scale", "treatment": "t ~ scale"}
    data.assign(scale=held).to_csv(path, index=False)
    table = read_table(path, **formulas)
    (question,) = make_design(table.data, **formulas).notes
    assert f"scale is {code} in {(held == code).sum()} of 400 rows, and from 1 to 7 in the others" in question
    theirs = smf.ols("y ~ t + scale", data[held != code]).fit().params["t"]
    option = eval(re.search(r"missing=(\{.*?\})", question)[1])
    again = read_table(path, **formulas, missing=option, drop_missing=True)
    assert again.dropped == (held == code).sum() and alpha(again) == pytest.approx(theirs, rel=1e-9)
    flags = re.search(r"--missing \S+ --drop-missing", question)[0].split()
    done = attempt(tmp_path / "out", path, *flags, **formulas)
    assert f"dropping {again.dropped}" in done.output and "scale is" not in done.output


@pytest.mark.parametrize(
    ("asked", "treated"),
    [(["no", "yes"], ["N", "Y"]), (["female", "male"], ["False.", "True."]), ([1, 2], ["control", "treated"])],
)
def test_the_recoding_that_is_advised_works_at_the_command_line(asked, treated, tmp_path, read_only):
    rng, n = np.random.default_rng(1), 300
    x = rng.normal(size=n)
    took = (x + rng.normal(size=n) > 0).astype(int)
    says = (took + x + rng.normal(size=n) > 0.5).astype(int)
    data = pd.DataFrame({"says": np.array(asked)[says], "took it?": np.array(treated)[took], "x": x})
    path = tmp_path / "asked.csv"
    data.to_csv(path, index=False)
    formulas = {"outcome": "says ~ `took it?` + x", "treatment": "`took it?` ~ x"}
    for _ in range(2):
        done = attempt(tmp_path / "out", path, **formulas)
        answer, name = re.search(r"write (I\((`.*?`|\w+) == .*?\)) on the left", done.output).groups()
        formulas = {equation: formula.replace(name, answer) for equation, formula in formulas.items()}
    assert "(binary) on I(took_it == " in attempt(tmp_path / "out", path, **formulas).output
    table = read_table(path, **formulas)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    assert design.kinds == ("binary", "binary")
    assert np.array_equal(design.y, says) and np.array_equal(design.t, took)


def test_an_excel_file_is_told_what_is_missing_as_a_csv_is(lands, tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "lands.xlsx"
    lands.to_excel(path, index=False)
    with pytest.raises(ValueError, match=r"'land' is the text 'NA' in \d+, .*--missing land="):
        read_table(path, **FORMULAS)
    for missing in ("", {"land": ""}):
        assert alpha(read_table(path, **FORMULAS, missing=missing)) == pytest.approx(right(lands), rel=1e-9)
    with pytest.raises(ValueError, match="'nobody', which the file does not have"):
        read_table(path, **FORMULAS, missing={"nobody": ""})


ADDRESSES = {
    "https://example.org/data/mine.csv": "pandas.read_csv('https://example.org/data/mine.csv')",
    "http://example.org/mine.dta": "pandas.read_stata('http://example.org/mine.dta')",
    "https://example.org/mine?format=csv&x=1": "pandas.read_csv('https://example.org/mine?format=csv&x=1')",
    "s3://pond/mine.parquet": "pandas.read_parquet('s3://pond/mine.parquet')",
    "ftp://example.org/a.xlsx": "pandas.read_excel('ftp://example.org/a.xlsx')",
}


@pytest.mark.parametrize(("address", "line"), ADDRESSES.items())
def test_an_address_is_no_missing_file(address, line, tmp_path):
    with pytest.raises(ValueError, match="is an address, and a report names the file") as refusal:
        read_table(address, **FORMULAS)
    assert line in str(refusal.value) and f"'{address}'; or two lines" in str(refusal.value)
    assert f"path='{address}' is an address" in attempt(tmp_path / "out", address).output


def test_a_report_says_what_became_of_the_texts_and_asks_about_the_codes(trial, tmp_path):
    """From end to end, of a file of another program and of names with signs."""
    path = tmp_path / "trial.dta"
    trial.assign(age=trial.age.where(trial.index % 30 != 0, -99)).to_stata(path, write_index=False)
    formulas = {"outcome": "y ~ I(s == 'b') + age", "treatment": "I(s == 'b') ~ age"}
    done = attempt(tmp_path / "out", path, "--label", "I(s == 'b')=the second arm", **formulas)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "the second arm" in text and "age is -99 in 4 of 120 rows" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [("y,t,x\n1,2,3\n4,5,6,7\n", "row"), ("y,t,x\n1,2,3,9\n4,5,6,9\n", "field"), ("y,t,x\n1,2,3,\n4,5,6,8\n", "row")],
)
def test_rows_keep_to_their_header(tmp_path, text, says):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_table(tmp_path / "mine.csv", outcome="y ~ t + x", treatment="t ~ x")


def test_a_trailing_comma_shifts_nothing(tmp_path):
    (tmp_path / "mine.csv").write_text("y,t,x\n1,2,3,\n4,5,6,\n7,9,8,\n")
    table = read_table(tmp_path / "mine.csv", outcome="y ~ t + x", treatment="t ~ x")
    assert table.data[["y", "t", "x"]].to_numpy().tolist() == [[1, 2, 3], [4, 5, 6], [7, 9, 8]]


def test_thousands_are_read_when_asked_for(tmp_path):
    (tmp_path / "mine.tsv").write_text("y\tt\tx\n43,500\t1\t2\n1,043,500\t2\t1\n900\t4\t1\n")
    table = read_table(tmp_path / "mine.tsv", outcome="y ~ t + x", treatment="t ~ x", separator="\t", thousands=",")
    assert table.data["y"].tolist() == [43500, 1043500, 900]


def test_a_large_csv_is_never_held_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "PARSED_AT_ONCE", 2_000)
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(40_000, 12)).round(2), columns=list("ytabcdefghij"))
    data.to_csv(tmp_path / "large.csv", index=False)
    tracemalloc.start()
    formulas = {"outcome": "y ~ t + " + " + ".join(data.columns[2:]), "treatment": "t ~ a"}
    read = read_table(tmp_path / "large.csv", **formulas, drop_missing=True).data
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pd.testing.assert_frame_equal(read, data)
    assert peak < 1.5 * data.memory_usage().sum()
