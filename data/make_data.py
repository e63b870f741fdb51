"""Make the book's CSV files again from the PyPI package causaldata, and list their checksums.

Usage::

    python data/make_data.py [folder]
"""

import hashlib
import sys
from pathlib import Path

import pandas as pd
from causaldata import cps_mixtape, nhefs_complete, nsw_mixtape

NHEFS = [
    "seqn", "qsmk", "sex", "race", "age", "education", "income", "marital", "ht", "wt71", "wt82", "wt82_71",
    "smokeintensity", "smkintensity82_71", "smokeyrs", "exercise", "active", "price71", "price82", "tax71", "tax82",
]  # fmt: skip
LALONDE = ["treat", "age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75", "re78"]


def tables():
    """Every stored file by name."""
    nhefs = nhefs_complete.load_pandas().data.apply(pd.to_numeric)
    trial, survey = (source.load_pandas().data[LALONDE] for source in (nsw_mixtape, cps_mixtape))
    return {
        "nhefs.csv": nhefs[NHEFS],
        "lalonde_experimental.csv": trial,
        "lalonde_cps.csv": pd.concat([trial[trial.treat == 1], survey]),
    }


def write(folder):
    """Write the tables and SHA256SUMS; the bytes depend on the tables alone."""
    sums = []
    for name, table in tables().items():
        text = _whole_numbers(table).to_csv(index=False, lineterminator="\n", float_format="%.10g")
        (folder / name).write_bytes(text.encode())
        sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_bytes("".join(sums).encode())


def _whole_numbers(table):
    """Columns of whole numbers written as such."""
    whole = [name for name in table if (table[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
