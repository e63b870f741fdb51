"""Finished worlds on disk: whole, checked when they are read, and never in the way.

A file is named by what was assumed and by its own SHA-256 checksum, so that one rename makes it
appear whole and a later damage is seen. A file that is damaged is set aside, with a warning, and
its world is fitted again.
"""

import hashlib
import os
import tempfile
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path

import joblib
import numpy as np
import xarray as xr

from which_world.priors import log_density

PROBED_AT = np.tanh(
    np.linspace(-4, 4, 201)
)  # a prior over ρ is told from another by its density here


def key(*parts):
    """A fingerprint that is the same in every process, whatever objects the parts hold."""
    return joblib.hash([_plain(part) for part in parts])


def _plain(value):
    """A value without what one process alone knows: SciPy's priors by name, numbers, density."""
    if hasattr(value, "dist") and hasattr(value, "kwds"):
        kind = type(value.dist)
        return [
            kind.__module__,
            kind.__qualname__,
            value.args,
            sorted(value.kwds.items()),
            log_density(value, PROBED_AT),
        ]
    if is_dataclass(value) and not isinstance(value, type):
        return [
            type(value).__qualname__,
            *((f.name, _plain(getattr(value, f.name))) for f in fields(value) if f.init),
        ]
    if isinstance(value, dict):
        return [(name, _plain(item)) for name, item in value.items()]
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def check_writable(folder):
    """Make the folder and write in it, before there is work to lose.

    Raises
    ------
    OSError
        Of the kind that the system raised, naming the folder and what would do.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
    except OSError as error:
        raise type(error)(
            f"folder={str(folder)!r} cannot be written in ({error.strerror or error}); accepted is "
            "a folder where you may write, or folder=None to keep nothing on disk."
        ) from None


def keep(idata, folder, name):
    """Write one world; where that fails, say so and lose nothing but the file."""
    beside = Path(folder) / f"{name}.{os.getpid()}.part"
    try:
        idata.to_netcdf(beside)
        os.replace(beside, Path(folder) / f"{name}-{_checksum(beside)}.nc")
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        warnings.warn(
            f"a finished world could not be kept in {str(folder)!r} ({error}); it is in the "
            "result, and would be fitted again by another run. Save the result elsewhere, or give "
            "another folder=...",
            UserWarning,
            stacklevel=3,
        )
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def load(folder, name):
    """The world of that name, or None where there is none that can be believed."""
    for path in sorted(Path(folder).glob(f"{name}-*.nc")):
        try:
            if path.stem.rpartition("-")[2] == _checksum(path):
                with xr.open_datatree(path) as tree:
                    return tree.load()
            reason = "its contents are not what was written"
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error)
        _set_aside(path, reason)
    return None


def _set_aside(path, reason):
    aside = path.with_suffix(".damaged")
    try:
        os.replace(path, aside)
        done = f"it is now {aside.name}"
    except OSError:
        done = "it stays where it is"
    warnings.warn(
        f"{path} is damaged ({reason}); {done}, and its world is fitted again.",
        UserWarning,
        stacklevel=4,
    )


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
