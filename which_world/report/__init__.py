"""From a CSV to a folder: a file is read and examined, its worlds are computed, written in sentences and published."""
