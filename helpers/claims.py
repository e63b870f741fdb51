"""The sentences and the numbers of the book, checked and computed each time it is run."""

from __future__ import annotations

import hashlib
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from which_world import arguments

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "the chapter's prefix, such as 'c08'"
STORED = "a CSV with a column 'script', and the script beside it"


def claim(sentence: str, holds: bool | np.bool_, **values: object) -> None:
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

    See Also
    --------
    quote : a number for the text.

    Examples
    --------
    >>> from helpers import claim
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


def quote(chapter: str, **values: float) -> None:
    """Hand numbers to the prose of a chapter, so that none is typed by hand.

    Parameters
    ----------
    chapter : str
        Prefix of the names, unique in the book: ``quote("c08", gain=202.8)`` is read in the text by
        the role ``glue:text`` under the name ``c08_gain``.
    **values : float

    Raises
    ------
    TypeError, ValueError
        When a value is no finite number.

    See Also
    --------
    claim : a sentence that is checked.

    Examples
    --------
    >>> from helpers import quote
    >>> quote("c08", gain=202.8)  # a chapter's text has it by the name c08_gain
    """
    from myst_nb import glue  # only the book's own pages need it

    if not arguments.text(chapter, "chapter", accepted=PREFIX).isidentifier():
        arguments.refuse("chapter", chapter, PREFIX)
    numbers = {name: arguments.number(value, name) for name, value in values.items()}
    for name, number in numbers.items():
        shown = int(number) if number.is_integer() else number
        glue(f"{chapter}_{name}", shown, display=False)


def stored(path: str | PathLike) -> tuple[pd.DataFrame, bool]:
    r"""A table that a script made once, and whether it is that script that stands beside it.

    Parameters
    ----------
    path : path
        Of a CSV with a column ``script``, the SHA-256 of the file of the same name that ends in
        ``.py``.

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

    See Also
    --------
    claim : where a chapter holds the table to its script.

    Examples
    --------
    >>> import hashlib, tempfile
    >>> from pathlib import Path
    >>> from helpers import stored
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "tanks.py").write_bytes(b"print(3)")
    >>> made_by = hashlib.sha256(b"print(3)").hexdigest()
    >>> _ = (folder / "tanks.csv").write_text(f"fish,script\n3,{made_by}\n")
    >>> stored(folder / "tanks.csv")[1]
    True
    """
    import pandas as pd  # a claim needs none

    file = arguments.path(path, "path", STORED)
    script = file.with_suffix(".py")
    if not (file.is_file() and script.is_file()):
        arguments.refuse("path", str(file), STORED, error=FileNotFoundError)
    table = pd.read_csv(file)
    if "script" not in table:
        arguments.refuse("path", str(file), STORED)
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    return table, bool((table["script"] == digest).all())
