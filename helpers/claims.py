"""The sentences and the numbers of the book, checked and computed each time it is run."""

import numpy as np


def claim(sentence, holds, **values):
    """Print the sentence when it holds; stop the chapter when it does not.

    Parameters
    ----------
    sentence : str
        What the text says, without run-dependent numbers, so that the printed line is stable.
    holds : bool
        Whether the computation bears it out.
    **values
        The quantities it was judged by, shown when it fails.

    Raises
    ------
    AssertionError
        With the sentence and the values, when it does not hold.
    TypeError
        When `holds` is neither true nor false, such as a number that may be NaN.

    Examples
    --------
    >>> claim("Two and two are four.", 2 + 2 == 4)
    ✓ Two and two are four.
    """
    verdict = np.asarray(holds)
    if verdict.dtype != bool or verdict.ndim:
        raise TypeError(f"claim({sentence!r}): holds={holds!r}; accepted is True or False, from a comparison.")
    if not verdict:
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise AssertionError(f"claim does not hold: {sentence} [{shown or 'no values given'}]")
    print(f"✓ {sentence}")


def quote(chapter, **values):
    """Hand numbers to the prose of a chapter, so that none is typed by hand.

    Parameters
    ----------
    chapter : str
        Prefix of the names, unique in the book: ``quote("c08", gain=202.8)`` is read in the text by the role
        ``glue:text`` under the name ``c08_gain``.
    **values : float
    """
    from myst_nb import glue  # only the book's own pages need it

    for name, value in values.items():
        glue(f"{chapter}_{name}", int(value) if float(value).is_integer() else float(value), display=False)
