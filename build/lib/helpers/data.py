"""The tanks the book looks into: data sets stored beside the code, with their provenance."""

from pathlib import Path

import pandas as pd

HOME = Path(__file__).resolve().parent
# beside the code in a clone; inside the package where it was installed without one
FOLDER = next((path for path in (HOME.parent / "data", HOME / "tables") if (path / "nhefs.csv").exists()), HOME)

LALONDE = {"experimental": "lalonde_experimental.csv", "cps": "lalonde_cps.csv"}


def load_nhefs():
    """The 1,566 complete rows of the NHEFS smoking-cessation study.

    Returns
    -------
    pandas.DataFrame
        Raw columns under their NHEFS names: the outcome ``wt82_71`` (weight gained from 1971 to
        1982, kg), the treatment ``qsmk`` (1 = quit smoking by 1982), ``age`` (years), ``wt71`` (kg),
        ``smokeintensity`` (cigarettes a day), ``smokeyrs`` (years), and codes for ``sex``, ``race``,
        ``education``, ``exercise`` and ``active``. ``data/README.md`` lists every column.

    Raises
    ------
    FileNotFoundError
        When the package was copied without its ``data`` folder.

    References
    ----------
    Hernán and Robins, *Causal Inference: What If*, chapters 12 to 16.
    """
    return _read("nhefs.csv")


def load_lalonde(controls="experimental"):
    """The men of the National Supported Work programme, with one of two control groups.

    Parameters
    ----------
    controls : {"experimental", "cps"}
        Randomised controls (445 rows in all) or men drawn from the Current Population Survey
        (16,177 rows in all).

    Returns
    -------
    pandas.DataFrame
        ``re78`` (earnings in 1978, dollars), ``treat`` (0 or 1), ``age`` and ``educ`` (years),
        ``re74`` and ``re75`` (dollars), and the indicators ``black``, ``hisp``, ``marr``, ``nodegree``.

    Raises
    ------
    ValueError
        When ``controls`` names no stored group.
    """
    if controls not in LALONDE:
        raise ValueError(f"controls={controls!r} names no stored control group; use one of {sorted(LALONDE)}.")
    return _read(LALONDE[controls])


def _read(name):
    path = FOLDER / name
    if not path.exists():
        raise FileNotFoundError(
            f"{name} was looked for in {FOLDER} and is not there; install the book's package with pip, or clone the "
            "book: either brings its data."
        )
    return pd.read_csv(path)
