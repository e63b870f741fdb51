"""What a column is: however pandas holds it, and refused alike in a frame and in a file."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from helpers import make_design, ols, read_table
from which_world.tables.columns import MISSING_TEXTS


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (lambda n: [f"{k} kg" for k in range(n)], "'kg'"),
        (lambda n: [f"{k / 7:.2f}%" for k in range(n)], "'%'"),
        (lambda n: [f"${k}.20" for k in range(n)], r"'\$'"),
        (lambda n: [f"{k},500" for k in range(1, n + 1)], "thousands"),
        (lambda n: [f"{k}.500,25" for k in range(1, n + 1)], "thousands"),
        (lambda n: pd.date_range("2020-01-01", periods=n), "dates"),
        (lambda n: pd.date_range("2020-01-01", periods=n, tz="UTC"), "dates"),
        (lambda n: pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"), "dates"),
        (lambda n: pd.to_timedelta(range(n), unit="h"), "spans of time"),
        (lambda n: np.arange(n) * 1j, "complex"),
        (lambda n: pd.array([__import__("decimal").Decimal(k) for k in range(n)], dtype=object), "objects"),
        (lambda n: [f"name {chr(65 + k % 26)}{k}" for k in range(n)], "different"),
        (lambda n: ["same"] * n, "constant"),
    ],
    ids=["kg", "percent", "dollar", "thousands", "german", "date", "zone", "iso", "span", "complex", "decimal", "names",
         "constant"],
)  # fmt: skip
def test_a_column_that_is_not_what_it_seems_is_refused_alike_in_a_frame_and_a_file(data, column, says, tmp_path):
    frame = data.assign(k=column(len(data)))
    formulas = {"outcome": "y ~ t + k", "treatment": "t ~ x"}
    with pytest.raises(ValueError, match=says) as refusal:
        make_design(frame, **formulas)
    assert "np." not in str(refusal.value)
    if says not in ("complex", "objects", "spans of time", "constant"):  # these do not survive a CSV
        frame.to_csv(tmp_path / "mine.csv", index=False)
        with pytest.raises(ValueError, match=says):
            read_table(tmp_path / "mine.csv", **formulas)


@pytest.mark.parametrize("change", [
    lambda d: d.convert_dtypes(), lambda d: d.assign(g=d.g.astype("string")), lambda d: d.assign(g=d.g.astype(object)),
    lambda d: d.assign(g=pd.Categorical(d.g, categories=[*"abcd", "never"])), lambda d: d.astype({"x": "Float64"}),
    lambda d: d.assign(g=pd.Categorical(d.g, categories=["never", *"abcd"])),
], ids=["convert", "string", "object", "unused", "nullable", "unused first"])  # fmt: skip
def test_how_pandas_holds_a_column_does_not_matter(data, change):
    frame = data.drop(columns=["log", "C", "np"])
    formulas = {"outcome": "y ~ t + x + g", "treatment": "t ~ x + g"}
    theirs = smf.ols("y ~ t + x + g", frame).fit().params["t"]
    design = make_design(change(frame), **formulas)
    assert ols(design).params["alpha"] == pytest.approx(theirs, rel=1e-9)
    assert design.covariates == make_design(frame, **formulas).covariates


def test_the_texts_left_out_are_those_of_pandas(tmp_path):
    rows = [f'{k},"{text}"' for k, text in enumerate(MISSING_TEXTS)]
    (tmp_path / "texts.csv").write_text("\n".join(["k,text", *rows, "99,"]) + "\n")
    assert pd.read_csv(tmp_path / "texts.csv").text.isna().all()
