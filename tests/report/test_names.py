"""The file's own names, and labels in their place."""

import numpy as np
import pandas as pd
import pytest
from ponds import OUTCOME, PONDS, ROOT, TREATMENT, attempt, refused

from helpers import make_design, make_report, read_table
from which_world.report.examine import data_checks

OWN = pd.DataFrame(
    {"Body Mass (kg)": np.arange(30.0), "smoker?": [0, 1] * 15, "yr.": np.arange(30) ** 2, "if": list("ab") * 15}
)

NAMED = {"outcome": "`Body Mass (kg)` ~ `smoker?` + `yr.`", "treatment": "`smoker?` ~ `yr.`"}


def test_messages_and_reports_speak_the_names_of_the_file(tmp_path):
    OWN.to_csv(tmp_path / "own.csv", index=False)
    table = read_table(tmp_path / "own.csv", **NAMED)
    assert table.names == {"Body_Mass_kg": "Body Mass (kg)", "smoker": "smoker?", "yr": "yr."}
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    assert "smoker is 'smoker?' and yr is 'yr.'" in data_checks(design, names=table.names)[1]
    message = r"name 'Age \(years\)', which own.csv does not have; its columns are \['Body Mass \(kg\)'"
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "own.csv", outcome="`Body Mass (kg)` ~ `smoker?` + `Age (years)`", treatment="t ~ 1")
    OWN.assign(**{"smoker?": 1}).to_csv(tmp_path / "still.csv", index=False)
    refused(attempt(tmp_path / "out", csv=tmp_path / "still.csv", **NAMED), "treatment 'smoker?' is constant")


def test_names_that_collapse_or_stand_twice_are_refused(tmp_path):
    data = OWN.assign(**{"yr": 1.0})
    with pytest.raises(ValueError, match=r"'yr.' and 'yr' become the same plain name; rename one"):
        read_table(data, **NAMED)
    (tmp_path / "twice.csv").write_text("y,t,site,site\n1,0,a,b\n2,1,a,b\n")
    with pytest.raises(ValueError, match="more than one column named 'site'"):
        read_table(tmp_path / "twice.csv", outcome="y ~ t + site", treatment="t ~ site")


def test_a_stray_text_among_numbers_is_refused_unless_categorical():
    data = OWN.astype({"yr.": object})
    data.loc[5, "yr."] = "?"
    with pytest.raises(ValueError, match=r"'yr.' holds 29 numbers and '\?' \(row 6\); .*C\(`yr.`\)"):
        read_table(data, **NAMED)
    table = read_table(data, outcome="`Body Mass (kg)` ~ `smoker?` + C(`yr.`)", treatment="`smoker?` ~ C( `yr.` )")
    assert table.outcome == "Body_Mass_kg ~ smoker + C(yr)"
    read_table(OWN, outcome="`Body Mass (kg)` ~ `smoker?` + `if`", treatment="`smoker?` ~ `if`")  # words are welcome


def test_marks_of_other_countries_are_suggested(tmp_path):
    path, formulas = tmp_path / "euro.csv", {"outcome": "y ~ t + x", "treatment": "t ~ x"}
    path.write_text("y;t;x\n1,5;0;2,5\n2,5;1;3,5\n", encoding="utf-8")
    with pytest.raises(ValueError, match="stand between semicolons, say --separator ';'"):
        read_table(path, **formulas)
    with pytest.raises(ValueError, match="for decimal commas use --decimal ,"):
        read_table(path, separator=";", **formulas)
    assert read_table(path, separator=";", decimal=",", **formulas).data.y.tolist() == [1.5, 2.5]
    path.write_text(path.read_text().replace(";", "\t"))
    assert len(read_table(path, separator=r"\t", decimal=",", **formulas).data) == 2
    path.write_bytes("y,t,größe\n1,0,2\n".encode("latin-1"))
    with pytest.raises(ValueError, match="accepted is UTF-8: save it so"):
        read_table(path, **formulas)


def test_names_with_spaces_are_made_plain():
    data = pd.DataFrame({"body weight (g)": [1.0, 2.0], "2nd dose": [0.0, 1.0]})
    table = read_table(data, outcome="`body weight (g)` ~ `2nd dose`", treatment="`2nd dose` ~ 1")
    assert (table.outcome, table.treatment) == ("body_weight_g ~ _2nd_dose", "_2nd_dose ~ 1")
    assert list(table.data) == ["body_weight_g", "_2nd_dose"] and list(data) == ["body weight (g)", "2nd dose"]


def test_dropped_rows_are_counted_and_only_those_that_matter():
    table = read_table(PONDS, outcome="gain_g ~ feed_g + temp_c", treatment="feed_g ~ temp_c", drop_missing=True)
    assert (table.dropped, len(table.data)) == (14, 406)
    with pytest.raises(ValueError, match="all 2 rows"):
        read_table(pd.DataFrame({"y": [1.0, None], "t": [None, 2.0]}), outcome="y ~ t", treatment="t ~ 1",
                   drop_missing=True)  # fmt: skip


LABELS = {"gain_g": "weight <gain> & 50% more_or_less", "feed_g": "daily feed", "C(site)": "the site"}


def test_labels_take_the_place_of_names_everywhere(tmp_path):
    options = [f"--label={name}={words}" for name, words in LABELS.items()]
    done = attempt(tmp_path / "out", "--drop-missing", *options)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    told = "\n".join(line for line in text.splitlines() if "python -m helpers" not in line)  # that has the names
    assert "daily feed" in told and "the site" in told and "feed_g" not in told and "gain_g" not in told
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<gain>" not in page and "&lt;gain&gt;" in page
    plain = attempt(tmp_path / "plain", "--drop-missing")
    assert plain.returncode == 0
    tables = [pd.read_csv(tmp_path / each / "table.csv").select_dtypes("number") for each in ("out", "plain")]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    "labels, said",
    [({"feed": "x"}, "gain_g, feed_g"), ({"gain_g": " "}, "words for"), ({"gain_g": "feed_g"}, "another label"),
     ({"gain_g": 3}, "labels"), (["gain_g"], "labels"), ({"C(site)[T.b]": "x"}, "words for"),
     ({"gain_g": "two\nlines"}, "one line")],
)  # fmt: skip
def test_a_label_of_nothing_is_refused(labels, said):
    table = read_table(ROOT / "data" / "ponds.csv", outcome=OUTCOME, treatment=TREATMENT, drop_missing=True)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    with pytest.raises((ValueError, TypeError), match=said):
        make_report(design, names=table.names, labels=labels)


def test_a_label_may_hold_brackets_and_names_a_variable_of_several_terms():
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("ytx")).assign(site=["a", "(30,45]", "b] x", "c"] * 50)
    design = make_design(data, outcome="y ~ t + x * C(site)", treatment="t ~ x * C(site)")
    named = make_report(design, labels={"x": "income [EUR]", "C(site)": "the place [A]"})
    assert set(named.benchmarks.index) == {"income [EUR]", "site"} and "site[T" not in named.paragraph
    assert "adjusted for income [EUR], the place [A] and x:C(site)." in named.paragraph
    assert "the place [A] is categorical, with 4 levels." in named.checks
    assert "the place [A][T.b] x]" in named.design.covariates
