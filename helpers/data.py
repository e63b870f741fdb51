"""The tanks the book looks into: data sets stored beside the code, with their provenance."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from which_world import arguments

FOLDER = Path(__file__).resolve().parent.parent / "data"

LALONDE = {"experimental": "lalonde_experimental.csv", "cps": "lalonde_cps.csv"}


def load_nhefs(*, everyone: bool = False) -> pd.DataFrame:
    """The people of the NHEFS smoking-cessation study, a row each.

    Parameters
    ----------
    everyone : bool
        Left out, the 1,566 who were weighed again in 1982, and the question is one of weight. With
        ``True`` also the 63 who were not (27 of them died by 1992), for questions of life and
        death: 1,629 rows, in which ``wt82`` and ``wt82_71`` may be missing.

    Returns
    -------
    pandas.DataFrame
        Raw columns under their NHEFS names: the outcome ``wt82_71`` (weight gained from 1971 to
        1982, kg), the treatment ``qsmk`` (1 = quit smoking by 1982), ``age`` (years), ``wt71``
        (kg), ``smokeintensity`` (cigarettes a day), ``smokeyrs`` (years), codes for ``sex``,
        ``race``, ``education``, ``exercise`` and ``active``, and ``death`` (1 = died by 1992).
        Everyone's table has the year (``yrdth``, 83 to 92) and month (``modth``) of death as well.
        ``data/README.md`` lists every column.

    Raises
    ------
    FileNotFoundError
        When the package was copied without its ``data`` folder.

    See Also
    --------
    load_lalonde : a study whose answer is known.

    References
    ----------
    Hernán and Robins, *Causal Inference: What If*, chapters 12 to 17.

    Examples
    --------
    >>> from helpers import load_nhefs
    >>> people = load_nhefs()
    >>> print(len(people), people.groupby("qsmk")["wt82_71"].mean().round(1).to_dict())
    1566 {0: 2.0, 1: 4.5}
    """
    everyone = arguments.flag(everyone, "everyone")
    return _read("nhefs_everyone.csv" if everyone else "nhefs.csv")


def load_lalonde(controls: str = "experimental") -> pd.DataFrame:
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
        ``re74`` and ``re75`` (dollars), and the indicators ``black``, ``hisp``, ``marr``,
        ``nodegree``.

    Raises
    ------
    ValueError
        When ``controls`` names no stored group.

    See Also
    --------
    load_nhefs : a study whose answer nobody knows.

    Examples
    --------
    >>> from helpers import load_lalonde
    >>> earned = load_lalonde().groupby("treat")["re78"].mean()
    >>> print(f"{earned[1] - earned[0]:,.0f} dollars")
    1,794 dollars
    """
    accepted = tuple(sorted(LALONDE))
    return _read(LALONDE[arguments.one_of(controls, accepted, "controls")])


def _read(name):
    """A stored table by the name of its file."""
    path = FOLDER / name
    if not path.exists():
        raise FileNotFoundError(
            f"{name} was looked for in {FOLDER} and is not there; the data sets come with a "
            "clone of the book, beside `helpers`."
        )
    return pd.read_csv(path)
