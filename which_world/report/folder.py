"""A folder of files that is written whole or not at all.

It is replaced only where every file in it is the report's own: these are listed with their
checksums in `MANIFEST`. What is new is written in a hidden folder beside. Where there is no folder
yet, that is renamed; else its files are moved in one by one, since the folder may be a link or
somebody's working directory, which a rename would take away. A run that was killed on the way is
undone by the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from which_world import arguments

MANIFEST = "manifest.json"


@contextmanager
def written(
    folder: str | PathLike[str], *, force: bool = False, **facts: str
) -> Iterator[tuple[Path, Path]]:
    """The folder, and a hidden one to write in.

    On leaving, what that holds takes the folder's place, with a manifest of `facts` and checksums.
    """
    place = check_free(folder, force=force)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.parent / f".{place.name}-{os.getpid()}-{secrets.token_hex(8)}"
    # from before there is anything: a signal may arrive as soon as the folder is made
    try:
        beside.mkdir(mode=0o700)
        new = beside / "new"
        new.mkdir()
        yield place, new
        files = {path.name: checksum(path) for path in sorted(new.iterdir())}
        manifest = json.dumps(facts | {"files": files}, indent=1, ensure_ascii=False)
        (new / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
        check_free(place, force=force)
        if place.exists():
            _exchange(place, new)
        else:
            os.replace(new, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_free(
    folder: str | PathLike[str],
    *,
    force: bool = False,
    reading: str | PathLike[str] | None = None,
) -> Path:
    """The folder as an absolute path without links, if a report may be written there.

    An exchange of files that was cut in this folder is undone first.

    Parameters
    ----------
    folder : path
    force : bool
        Whether an earlier report may be replaced: a folder that holds nothing but the files of its
        manifest, as they were written.
    reading : path, optional
        A file that is going to be read, and must therefore not be replaced.

    Raises
    ------
    FileExistsError
        When it is a file, holds an earlier report and `force` is not set, or holds anything else.
    OSError
        When it could not be made or written in.
    """
    place = arguments.path(folder, "folder", "the path of a new or empty folder").resolve()
    _check_writable(place)
    _recover(place)
    if place.exists():
        _check_replaceable(place, force, reading)
    return place


def _check_writable(folder):
    """Refuse a folder that could not be made, or not be written in."""
    above = next(path for path in folder.parents if path.exists())
    if not above.is_dir():
        raise NotADirectoryError(
            f"{above} is a file, so {folder} cannot be made; accepted is a folder in a folder."
        )
    for place in (above, folder) if folder.is_dir() else (above,):
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(
                f"{place} cannot be written in; accepted is an --out where you may write."
            )


def _check_replaceable(folder, force, reading):
    """Refuse what is no folder, or a folder that holds more than a report that may be replaced."""
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; accepted is a new or empty folder.")
    if reading is not None and Path(reading).resolve().is_relative_to(folder):
        raise FileExistsError(
            f"{reading} lies in {folder}, which would be replaced; accepted is another folder."
        )
    if strangers := _strangers(folder):
        raise FileExistsError(
            f"{folder} holds {strangers[:3]}, which no report wrote, or which changed since; "
            "accepted is a new or empty folder. Move away what is yours."
        )
    if any(folder.iterdir()) and not force:
        raise FileExistsError(
            f"{folder} holds an earlier report; accepted is another folder, or force=True "
            "(--force) to replace it."
        )


def _strangers(folder):
    """Names in a folder that are not in its manifest, or are not what was written."""
    files = _read(folder / MANIFEST)
    strangers = [
        path.name
        for path in folder.iterdir()
        if path.name != MANIFEST and not _is_written(path, files.get(path.name))
    ]
    if not files and (folder / MANIFEST).exists():
        strangers.append(MANIFEST)
    return sorted(strangers)


def _is_written(path, whole):
    """Whether a file is what was written, by its checksum."""
    return path.is_file() and checksum(path) == whole


def _read(manifest):
    """The files and checksums of a manifest; none where it is not one."""
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return files if isinstance(files, dict) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _exchange(folder, new):
    """Move what a folder holds to `old`, then what `new` holds into it.

    Whatever stops this half way is undone.
    """
    old = new.parent / "old"
    old.mkdir()
    try:
        for path in sorted(folder.iterdir()):
            shutil.move(path, old / path.name)
        shutil.copy(new / MANIFEST, new.parent / "moved")
        for path in sorted(new.iterdir()):
            shutil.move(path, folder / path.name)
    except BaseException:
        _undo(folder, new.parent)
        raise


def _undo(folder, beside):
    """Give a folder its old files back, wherever the exchange or an undoing of it was cut."""
    new, old, moved = beside / "new", beside / "old", beside / "moved"
    if moved.exists():
        arrived = _read(moved) | {MANIFEST: checksum(moved)}
        for name, whole in arrived.items():
            if not (new / name).exists() and _is_written(folder / name, whole):
                (folder / name).unlink()
        moved.unlink()
    for path in old.iterdir():
        place = folder / path.name
        if place.exists():  # somebody has worked in the folder since: keep both
            place = folder / f"{path.name}.earlier"
        shutil.move(path, place)


def _recover(folder):
    """Undo what a killed run left half done here; what it had finished stays."""
    for beside in folder.parent.glob(f".{folder.name}-*-*"):
        pid = beside.name.removeprefix(f".{folder.name}-").partition("-")[0]
        if not pid.isdigit() or _alive(int(pid)):
            continue
        new, old = beside / "new", beside / "old"
        begun = folder.is_dir() and old.is_dir()
        if begun and new.is_dir() and any(new.iterdir()):
            _undo(folder, beside)
        shutil.rmtree(beside, ignore_errors=True)


def _alive(pid):
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def checksum(path: str | PathLike[str]) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
