"""Run notebooks again, in place, each from a clean kernel.

Usage::

    python book/execute.py [notebook …]
"""

import base64
import io
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

BOOK = Path(__file__).resolve().parent
SHARP = "--InlineBackend.figure_formats=retina"
LETTERS = {  # of a figure 7 inches wide: nine pixels high on a phone, and no larger than the text beside it elsewhere
    "font.size": 13,
    "figure.dpi": 86,
    "axes.titlesize": "medium",
    "figure.titlesize": "medium",
    "figure.labelsize": "medium",
}
COLOURS = 128  # of a stored figure: a third of the weight, and no eye can tell


def execute(path):
    """Run one notebook in its own folder and store its outputs, figures sharp, without the clock's traces."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": path.parent}}
    options = [SHARP, *(f"--InlineBackend.rc={name}={value}" for name, value in LETTERS.items())]
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder, extra_arguments=options)
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _light(output.data["image/png"])
    nbformat.write(notebook, path)


def _light(png):
    """A figure with a palette of its own."""
    figure, file = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    figure.quantize(COLOURS, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    shutil.rmtree(BOOK / ".worlds", ignore_errors=True)  # kept worlds would be read, not run
    for path in [Path(name).resolve() for name in sys.argv[1:]] or sorted(BOOK.glob("*.ipynb")):
        started = time.perf_counter()
        execute(path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)
