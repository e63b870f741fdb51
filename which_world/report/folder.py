"""A folder of files that is written whole or not at all, and replaced only where every file in it is the report's own.

The report's files are listed with their checksums in `MANIFEST`. What is new is written in a hidden
folder beside, and moved in file by file, since the folder may be a link or somebody's working
directory. A run that was killed on the way is undone by the next one.
"""

import hashlib
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from which_world import arguments

MANIFEST = "manifest.json"


@contextmanager
def written(folder, *, force=False, **facts):
    """The folder, and a hidden one to write in; on leaving, what that holds takes its place, with a manifest."""
    folder = check_free(folder, force=force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{folder.name}-{os.getpid()}-{secrets.token_hex(8)}"
    try:  # from before there is anything: a signal may arrive as soon as the folder is made
        beside.mkdir(mode=0o700)
        new = beside / "new"
        new.mkdir()
        yield folder, new
        files = {path.name: checksum(path) for path in sorted(new.iterdir())}
        manifest = json.dumps(facts | {"files": files}, indent=1, ensure_ascii=False)
        (new / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
        check_free(folder, force=force)
        if folder.exists():
            _exchange(folder, new)
        else:
            os.replace(new, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_free(folder, *, force=False, reading=None):
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
    folder = arguments.path(folder, "folder", "the path of a new or empty folder").resolve()
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
    _recover(folder)
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; accepted is a new or empty folder.")
    if reading is not None and Path(reading).resolve().is_relative_to(folder):
        raise FileExistsError(
            f"{reading} lies in {folder}, which would be replaced; accepted is another folder."
        )
    strangers = sorted(_strangers(folder))
    if strangers:
        raise FileExistsError(
            f"{folder} holds {strangers[:3]}, which no report wrote, or which changed since; "
            "accepted is a new or empty folder. Move away what is yours."
        )
    if any(folder.iterdir()) and not force:
        raise FileExistsError(
            f"{folder} holds an earlier report; accepted is another folder, or force=True "
            "(--force) to replace it."
        )
    return folder


def _strangers(folder):
    """What a folder holds that is not in its manifest, or is not what was written."""
    files = _read(folder / MANIFEST)
    for path in folder.iterdir():
        if path.name != MANIFEST and not (
            path.is_file() and files.get(path.name) == checksum(path)
        ):
            yield path.name
    if not files and (folder / MANIFEST).exists():
        yield MANIFEST


def _read(manifest):
    """The files and checksums of a manifest; none where it is not one."""
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return files if isinstance(files, dict) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _exchange(folder, new):
    """Move what a folder holds to `old`, then what `new` holds into it; whatever stops this half way is undone."""
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
    """Give a folder its old files back, wherever the exchange was cut, and wherever an undoing was cut."""
    new, old, moved = beside / "new", beside / "old", beside / "moved"
    if moved.exists():
        arrived = _read(moved) | {MANIFEST: checksum(moved)}
        for name, whole in arrived.items():
            path = folder / name
            if not (new / name).exists() and path.is_file() and checksum(path) == whole:
                path.unlink()
        moved.unlink()
    for path in old.iterdir():
        free = not (
            folder / path.name
        ).exists()  # else somebody has worked in the folder since: keep both
        shutil.move(path, folder / (path.name if free else f"{path.name}.earlier"))


def _recover(folder):
    """Undo what a killed run left half done here; what it had finished stays."""
    for beside in folder.parent.glob(f".{folder.name}-*-*"):
        pid = beside.name.removeprefix(f".{folder.name}-").partition("-")[0]
        if not pid.isdigit() or _alive(int(pid)):
            continue
        new = beside / "new"
        if folder.is_dir() and (beside / "old").is_dir() and new.is_dir() and any(new.iterdir()):
            _undo(folder, beside)
        shutil.rmtree(beside, ignore_errors=True)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
