"""Files of other programs: read as the numbers and categories they hold, or refused in a sentence."""

import re

import pytest
import statsmodels.formula.api as smf
from lands import FORMULAS, alpha, attempt

from helpers import make_design, ols, read_table

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
