"""The sentences and the numbers of the book, checked and computed each time it is run."""

import hashlib

import numpy as np

from which_world import arguments


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
    arguments.text(sentence, "sentence", accepted="a sentence")
    verdict = np.asarray(holds)
    if verdict.dtype != bool or verdict.ndim:
        name = f"claim({sentence!r}): holds"
        arguments.refuse(name, holds, "True or False, from a comparison", error=TypeError)
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

    Raises
    ------
    TypeError, ValueError
        When a value is no finite number.
    """
    from myst_nb import glue  # only the book's own pages need it

    if not arguments.text(chapter, "chapter", accepted="the chapter's prefix, such as 'c08'").isidentifier():
        arguments.refuse("chapter", chapter, "the chapter's prefix, such as 'c08'")
    for name, value in {name: arguments.number(value, name) for name, value in values.items()}.items():
        glue(f"{chapter}_{name}", int(value) if value.is_integer() else value, display=False)


def stored(path):
    """A table that a script made once, and whether it is that script that stands beside it.

    Parameters
    ----------
    path : path
        Of a CSV with a column ``script``, the SHA-256 of the file of the same name that ends in ``.py``.

    Returns
    -------
    table : pandas.DataFrame
    genuine : bool
        Whether every row was made by the script as it is now.

    Raises
    ------
    OSError
        When there is no such table, or no script beside it.
    ValueError
        When the table has no column ``script``.
    """
    import pandas as pd  # a claim needs none

    path = arguments.path(path, "path", accepted := "a CSV with a column 'script', and the script beside it")
    script = path.with_suffix(".py")
    if not (path.is_file() and script.is_file()):
        arguments.refuse("path", str(path), accepted, error=FileNotFoundError)
    table = pd.read_csv(path)
    if "script" not in table:
        arguments.refuse("path", str(path), accepted)
    return table, bool((table["script"] == hashlib.sha256(script.read_bytes()).hexdigest()).all())
