"""``python -m helpers``: `helpers.report.command` on any terminal, and quiet when it is stopped."""

import codecs
import signal
import sys

SPOKEN = {"ρ": "rho", "α": "alpha", "β": "beta", "σ": "sigma", "δ": "delta", "κ": "kappa", "–": "-", "“": '"',
          "”": '"', "’": "'", "…": "...", "k̂": "k", "−": "-", "²": "^2", "\u00a0": " ", "\u202f": " "}  # fmt: skip


def _say_plainly(error):
    """What a terminal's encoding lacks, in letters that it has: an answer is not lost for a ρ."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SPOKEN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def speak_plainly():
    codecs.register_error("plainly", _say_plainly)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plainly")


def _stop(number, frame):
    """A signal during the imports, when there is nothing to clear away."""
    sys.stderr.write("Interrupted; nothing was written.\n")
    sys.exit(128 + number)


def __getattr__(name):
    """`main`, for those who call the command line from Python."""
    from helpers.report import command

    return getattr(command, name)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _stop)
    speak_plainly()
    from helpers.report.command import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half written is cleared away
    main(prog_name="python -m helpers")
