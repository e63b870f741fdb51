"""``which-world``, or ``python -m which_world``: `which_world.report.command` on any terminal."""

import codecs
import signal
import sys
import unicodedata

SIGNS = {"−": "-", "⁄": "/", "×": "x", "≤": "<=", "≥": ">=", "→": "->"}
KINDS = {"Pd": "-", "Zs": " ", "Mn": ""}  # dashes, spaces, and marks over a letter
QUOTES = {"Pi", "Pf"}


def _plain(sign):
    """A sign in ASCII: a Greek letter by its name, any other by what it is made of."""
    kind, name = unicodedata.category(sign), unicodedata.name(sign, "")
    if sign.isascii() or sign in SIGNS:
        return SIGNS.get(sign, sign)
    if name.startswith("GREEK") and "LETTER" in name:
        word = name.partition("LETTER ")[2].partition(" ")[0]
        return word.capitalize() if sign.isupper() else word.lower()
    if kind in QUOTES:
        return '"' if "DOUBLE" in name else "'"
    if kind in KINDS:
        return KINDS[kind]
    parts = unicodedata.normalize("NFKD", sign)
    above = "^" * unicodedata.decomposition(sign).startswith("<super>")
    return "?" if parts == sign else above + "".join(map(_plain, parts))


def _say_plainly(error):
    """What a terminal's encoding lacks, in letters that it has: an answer is not lost for a ρ."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def speak_plainly():
    codecs.register_error("plainly", _say_plainly)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plainly")


def _stop(number, frame):
    """A signal during the imports, when there is nothing to clear away."""
    sys.stderr.write("Interrupted; nothing was written.\n")
    sys.exit(128 + number)


def run(name="which-world"):
    """The command line under one of its names, quiet when it is stopped."""
    signal.signal(signal.SIGINT, _stop)
    speak_plainly()
    from which_world.report.command import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half written is cleared away
    main(prog_name=name)


def __getattr__(name):
    """`main`, for those who call the command line from Python."""
    from which_world.report import command

    return getattr(command, name)


if __name__ == "__main__":
    run("python -m which_world")
