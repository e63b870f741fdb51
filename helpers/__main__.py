"""``python -m helpers``: the library's command, by the name that the chapters use."""

from which_world.__main__ import __getattr__, run

__all__ = ["__getattr__", "run"]

if __name__ == "__main__":
    run("python -m helpers")
