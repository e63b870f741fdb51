"""From a design to a folder: worlds are computed, written in sentences and published."""
