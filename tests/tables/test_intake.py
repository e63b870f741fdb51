"""What comes in: files of every kind, texts that are codes or missing, answers that are no numbers."""

import re
import shlex

import click
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from click.testing import CliRunner

import which_world
from helpers import make_design, ols, read_table
from which_world.__main__ import main
from which_world.tables.columns import MISSING_TEXTS

FORMULAS = {"outcome": "y ~ t * land", "treatment": "t ~ land"}


def attempt(folder, csv, *options, **formulas):
    wanted = [f"--{name}={formula}" for name, formula in (FORMULAS | formulas).items()]
    return CliRunner().invoke(main, [str(csv), *wanted, "--out", str(folder), *options])


@pytest.fixture
def read_only(monkeypatch):
    """The command line as far as its design, which it then shows."""

    def show(design, table, **_):
        raise click.ClickException(f"read {design!r} dropping {table.dropped}")

    monkeypatch.setattr(which_world, "make_report", show)


@pytest.fixture(scope="module")
def lands():
    """Namibia is NA, and what the treatment does there is another thing."""
    rng, n = np.random.default_rng(4), 200
    land = rng.choice(["NA", "SA", "ET"], n)
    t = rng.normal(size=n)
    y = np.where(land == "NA", 5.0, 1.0) * t + rng.normal(size=n)
    return pd.DataFrame({"y": y, "t": t, "land": land, "age": rng.integers(18, 80, n), "word": land})


def alpha(table, **kind):
    return ols(make_design(table.data, outcome=table.outcome, treatment=table.treatment, **kind)).params["alpha"]


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


def test_the_texts_left_out_are_those_of_pandas(tmp_path):
    rows = [f'{k},"{text}"' for k, text in enumerate(MISSING_TEXTS)]
    (tmp_path / "texts.csv").write_text("\n".join(["k,text", *rows, "99,"]) + "\n")
    assert pd.read_csv(tmp_path / "texts.csv").text.isna().all()


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


@pytest.fixture(scope="module")
def trial():
    rng, n = np.random.default_rng(2), 120
    x, t = rng.normal(size=n), rng.integers(0, 2, n)
    party = rng.integers(1, 4, n)
    y = t + x + (party == 2) + rng.normal(size=n)
    return pd.DataFrame({"y": y, "t": t, "x": x, "party": party, "age": rng.integers(20, 80, n), "s": list("abc") * 40})


OF_TRIAL = {"outcome": "y ~ t + x + C(party) + s", "treatment": "t ~ x + C(party) + s"}
WRITERS = {
    "data.parquet": lambda data, path: data.to_parquet(path),
    "data.feather": lambda data, path: data.to_feather(path),
    "data.json": lambda data, path: data.to_json(path, orient="records", double_precision=15),
    "data.jsonl": lambda data, path: data.to_json(path, orient="records", lines=True, double_precision=15),
    "data.dta": lambda data, path: data.to_stata(path, write_index=False),
    "DATA.DTA": lambda data, path: data.to_stata(path, write_index=False),
    "data.csv.gz": lambda data, path: data.to_csv(path, index=False),
    "data.xlsx": lambda data, path: data.to_excel(path, index=False),
    "data.sav": lambda data, path: pytest.importorskip("pyreadstat").write_sav(data, path),
    "data.xpt": lambda data, path: pytest.importorskip("pyreadstat").write_xport(data, path, file_format_version=5),
}
NEEDS = {"data.xlsx": "openpyxl", "data.sav": "pyreadstat", "data.xpt": "pyreadstat"}


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_other_programs_are_read(trial, name, tmp_path, read_only):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    path = tmp_path / name
    WRITERS[name](trial, path)
    theirs = smf.ols(OF_TRIAL["outcome"], trial).fit().params["t"]
    table = read_table(path, **OF_TRIAL)
    assert alpha(table) == pytest.approx(theirs, rel=1e-6)
    assert "read Design(y on t (binary), n=120" in attempt(tmp_path / "out", path, **OF_TRIAL).output
    if not name.endswith(("xlsx", "gz")):
        with pytest.raises(ValueError, match="missing='' is for texts, and accepted for a CSV or an Excel file"):
            read_table(path, **OF_TRIAL, missing="")
    if not name.endswith("gz"):
        with pytest.raises(ValueError, match="need no marks"):
            read_table(path, **OF_TRIAL, decimal=",", separator=";")


LABELS = {"t": {0: "no", 1: "yes"}, "party": {1: "red", 2: "green", 3: "blue"}, "age": {99: "refused"},
          "twice": {1: "a", 2: "a"}}  # fmt: skip


@pytest.mark.parametrize("name", ["data.dta", "data.sav"])
@pytest.mark.parametrize("twice", [False, True])
def test_value_labels_are_categories_and_a_measurement_stays_a_number(trial, name, twice, tmp_path):
    data = trial.assign(
        age=trial.age.where(trial.index % 30 != 0, 99), **{"twice": trial.party % 2 + 1} if twice else {}
    )
    labels, path = {key: each for key, each in LABELS.items() if key in data}, tmp_path / name
    if name == "data.dta":
        data.to_stata(path, write_index=False, value_labels=labels)
    else:
        pytest.importorskip("pyreadstat").write_sav(data, path, variable_value_labels=labels)
    with pytest.raises(ValueError, match=r"'t' holds \['no', 'yes'\].*write I\(t == 'yes'\) on the left"):
        make_design(read_table(path, **OF_TRIAL).data, **OF_TRIAL)
    treated = {"outcome": "y ~ I(t == 'yes') + x + party + age", "treatment": "I(t == 'yes') ~ x + party + age"}
    table = read_table(path, **treated)
    design = make_design(table.data, **treated)
    levels = set(re.findall(r"party\[T.(\w+)\]", " ".join(design.covariates)))
    assert len(levels) == 2 and levels < {"red", "green", "blue"} and "age" in design.covariates
    theirs = smf.ols("y ~ t + x + C(party) + age", data).fit().params["t"]
    assert ols(design).params["alpha"] == pytest.approx(theirs, rel=1e-6)
    assert [f"age is 99 in {(data.age == 99).sum()} of 120" in note for note in design.notes] == [True]
    if twice:
        assert table.data["twice"].tolist() == data.twice.tolist()


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


@pytest.mark.parametrize(("name", "package"), [("data.xlsx", "openpyxl"), ("data.sav", "pyreadstat")])
def test_a_reader_that_is_not_there_is_named_with_the_line_that_brings_it(name, package, tmp_path, monkeypatch):
    import zipfile

    with zipfile.ZipFile(tmp_path / name, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ImportError, match=rf"read with {package}.*pip install {package} .*which-world\[formats\]"):
        read_table(tmp_path / name, **FORMULAS)


@pytest.mark.parametrize("name", ["x.parquet", "x.feather", "x.json", "x.jsonl", "x.dta", "x.sav", "x.xlsx", "x.xpt"])
def test_what_only_looks_like_a_file_of_that_kind_is_refused_in_a_sentence(name, tmp_path):
    (tmp_path / name).write_bytes(b"y,t\n1,2\n" * 30)
    with pytest.raises((ValueError, ImportError), match=rf"{name} (could not be read as|is read with)") as refusal:
        read_table(tmp_path / name, **FORMULAS)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["mine.rds", "mine.RData", "mine.rda"])
def test_a_file_of_an_r_session_is_told_the_line_that_writes_a_csv(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(ValueError, match=r"is of an R session; .*write\.csv\(data"):
        read_table(tmp_path / name, **FORMULAS)


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
