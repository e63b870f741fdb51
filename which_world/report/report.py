"""A report as a value: what was computed, and what is said of it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import xarray as xr

    from which_world.decisions import Decision
    from which_world.design import Design
    from which_world.priors import RhoPrior

WHOLE = "All of it: write_report(report, folder)."


NARROW = 1.25  # factor by which an interval is too narrow, from which that is spoken of


class Narrow(NamedTuple):
    """Why an interval is too narrow at ρ = 0, and by which factor.

    ``since`` is the reason as half a sentence, ``remedy`` what to do about it.
    """

    factor: float
    since: str
    remedy: str


class Curved(NamedTuple):
    """The curves and products that move both the treatment and the outcome, as formulas name them.

    The effect at ρ = 0 as it is, and ``straightened``, with these terms in both formulas; ``rho``
    is the current that leaving them out makes.
    """

    terms: tuple[str, ...]
    effect: float
    straightened: float
    rho: float


class Uneven(NamedTuple):
    """What the effect changes with, two of its places, and the effect with its interval there.

    `by` is the treatment's own name where the line bends with the dose.
    """

    by: str
    places: tuple[str, str]
    effects: tuple[tuple[float, float, float], tuple[float, float, float]]

    @property
    def turns(self) -> bool:
        """Whether the effect is clearly below zero at one place, and clearly above at the other."""
        (_, low, high), (_, other_low, other_high) = self.effects
        return bool(high < 0 < other_low or other_high < 0 < low)


class Report(NamedTuple):
    """What `make_report` found; every sentence in it is computed from these data.

    Attributes
    ----------
    design : Design
    unit : str
        Of the effect: outcome per unit of treatment.
    map : xarray.Dataset
        From `map_rho`.
    worlds : pandas.DataFrame
        One row a world: ``alpha`` (of a binary outcome ``effect``, in percentage points), ``low``,
        ``high``, ``gap`` (from least squares), ``rho``, ``rho_sd``, ``P(alpha>0)``
        (``P(effect>0)``), ``pareto_k``, ``ess`` and ``interpretation``, which says so where the
        data contradict a belief. NaN where the map cannot carry a world.
    draws : xarray.Dataset
        ``alpha`` (or ``effect``) and ``rho`` by ``world`` and ``draw``.
    tipping, robustness : pandas.Series
        From `tipping_point`, looked for ``from`` one ρ ``to`` another, as far as the map can be
        relied on; the robustness value of the ``estimate`` and of its ``interval``.
    benchmarks : pandas.DataFrame
        From `benchmark_rho`, without the instruments; empty when there is nothing to leave out.
    sensitivity : pandas.DataFrame
        The effect and P(α > 0) under other priors: of ρ and of α, each half and twice as wide.
    checks, limits, assumptions, overturns : list of str
        What the data are; what they cannot say; what the numbers rest on; what would change the
        conclusion.
    paragraph : str
        The conclusion, in words for a text of the reader's own.
    dropped : int
        Rows left out for missing values before the design was made.
    shuffled : float
        From `shuffle_test`; NaN for a continuous treatment or a binary outcome.
    clustered : tuple of str
        A question for each column that may name who belongs together; they stand among the `limits`
        too.
    identifiers : pandas.DataFrame
        One row for each such column of the file, outside the formulas: how alike its rows are, the
        effect ``within`` its groups, and ``rho``, the current that the formulas leave by leaving it
        out.
    instruments : pandas.DataFrame
        Posterior, maximum likelihood, two-stage least squares and the Anderson-Rubin interval side
        by side; empty without an instrument.
    influence : pandas.DataFrame
        From `influence`; empty where the rows are not at hand.
    curved : Curved or None
        The curves and products of covariates that are missing from both formulas, with the effect
        once they are there, and ``rho``, the current of leaving them out.
    uneven : Uneven or None
        What the effect changes with, and the effect at two places of it.
    narrow : tuple of Narrow
        Each reason for which the intervals are too narrow: groups, uneven spread, rows that repeat,
        rows that resemble those before them.
    belief : object
        The prior of ρ in the world "ρ free".
    decision : Decision or None
        From `decide`, between the options that were named.
    decided, leaning : str
        What is said of it, or how options are named; and how far "ρ free" leans on its priors.
    """

    design: Design
    unit: str
    map: xr.Dataset
    worlds: pd.DataFrame
    draws: xr.Dataset
    tipping: pd.Series
    robustness: pd.Series
    benchmarks: pd.DataFrame
    sensitivity: pd.DataFrame
    checks: list[str]
    limits: list[str]
    assumptions: list[str]
    overturns: list[str]
    paragraph: str
    dropped: int = 0
    shuffled: float = np.nan
    clustered: tuple[str, ...] = ()
    identifiers: pd.DataFrame = pd.DataFrame()
    instruments: pd.DataFrame = pd.DataFrame()
    influence: pd.DataFrame = pd.DataFrame()
    belief: RhoPrior | None = None
    decision: Decision | None = None
    decided: str = ""
    leaning: str = ""
    shuffled_normal: float = np.nan
    narrow: tuple[Narrow, ...] = ()
    curved: Curved | None = None
    uneven: Uneven | None = None

    def __repr__(self) -> str:
        return f"Report on {self.design!r}\n{self.paragraph}\n{WHOLE}"

    def _repr_html_(self) -> str:
        said = (f"Report on {self.design!r}", self.paragraph)
        lines = "".join(f"<p>{escape(each)}</p>" for each in said)
        return f"{lines}{self.worlds.to_html()}<p>{WHOLE}</p>"

    @property
    def read(self) -> str:
        """The effect's column: ``"alpha"``, or of a binary outcome ``"effect"``."""
        return read_of(self.design)


def read_of(design: Design) -> str:
    """The name of the effect that a report of this design reads."""
    return "effect" if design.outcome_kind == "binary" else "alpha"
