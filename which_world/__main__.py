"""``which-world``, or ``python -m which_world``: `which_world.report.command` on any terminal."""

from __future__ import annotations

import codecs
import signal
import sys
import unicodedata
from types import FrameType
from typing import Any

IN_ASCII = {"−": "-", "⁄": "/", "×": "x", "≤": "<=", "≥": ">=", "→": "->"}
BY_CATEGORY = {"Pd": "-", "Zs": " ", "Mn": ""}  # dashes, spaces, and marks over a letter
QUOTES = {"Pi", "Pf"}


def _in_ascii(sign: str) -> str:
    """A sign in ASCII: a Greek letter by its name, any other by what it is made of."""
    kind, name = unicodedata.category(sign), unicodedata.name(sign, "")
    if sign.isascii() or sign in IN_ASCII:
        return IN_ASCII.get(sign, sign)
    if name.startswith("GREEK") and "LETTER" in name:
        word = name.partition("LETTER ")[2].partition(" ")[0]
        return word.capitalize() if sign.isupper() else word.lower()
    if kind in QUOTES:
        return '"' if "DOUBLE" in name else "'"
    if kind in BY_CATEGORY:
        return BY_CATEGORY[kind]
    parts = unicodedata.normalize("NFKD", sign)
    if parts == sign:
        return "?"
    above = "^" if unicodedata.decomposition(sign).startswith("<super>") else ""
    return above + "".join(map(_in_ascii, parts))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """What a terminal's encoding lacks, in letters that it has: an answer is not lost for a ρ."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def speak_plainly() -> None:
    """Write on a terminal in letters that it has."""
    codecs.register_error("plainly", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plainly")


def _stop(number: int, frame: FrameType | None) -> None:
    """A signal during the imports, when there is nothing to clear away."""
    sys.stderr.write("Interrupted; nothing was written.\n")
    sys.exit(128 + number)


def run(name: str = "which-world") -> None:
    """The command line under one of its names, quiet when it is stopped."""
    signal.signal(signal.SIGINT, _stop)
    speak_plainly()
    from which_world.report.command import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    # so that what is half written is cleared away
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(prog_name=name)


def __getattr__(name: str) -> Any:
    """`main`, for those who call the command line from Python."""
    from which_world.report import command

    return getattr(command, name)


if __name__ == "__main__":
    run("python -m which_world")
