"""Pieces whose worker is killed: a file of its own, so that a worker who is handed one imports nothing else."""

import os


def at_once(place, table, flag):
    """A piece whose worker is killed when it is first asked for."""
    if place == 2 and not os.path.exists(flag):
        with open(flag, "w"):
            pass
        os._exit(1)
    return table.iloc[place::4]


def late(place, table, folder):
    """A piece whose worker is killed when it is asked for the fifth time."""
    times = len(os.listdir(folder))
    if place == 2 and times < 5:
        with open(os.path.join(folder, str(times)), "w"):
            pass
        if times == 4:
            os._exit(1)
    return table.iloc[place::4]
