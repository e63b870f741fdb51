"""A sentence of the book, checked against the draws each time the book is run."""


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

    Examples
    --------
    >>> claim("Two and two are four.", 2 + 2 == 4)
    ✓ Two and two are four.
    """
    if not bool(holds):
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise AssertionError(f"claim does not hold: {sentence} [{shown or 'no values given'}]")
    print(f"✓ {sentence}")
