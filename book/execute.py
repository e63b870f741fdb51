"""Run notebooks again, in place, each from a clean kernel.

Usage::

    python book/execute.py [notebook …]
"""

import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

BOOK = Path(__file__).resolve().parent


def execute(path):
    """Run one notebook in its own folder and store its outputs, without the clock's traces."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    shutil.rmtree(BOOK / ".worlds", ignore_errors=True)  # kept worlds would be read, not run
    for path in [Path(name).resolve() for name in sys.argv[1:]] or sorted(BOOK.glob("*.ipynb")):
        started = time.perf_counter()
        execute(path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)
