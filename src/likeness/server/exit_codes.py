"""The exit codes of a worker and of `likeness serve`."""

DONE = 0
CRASHED = 70
#: The engine cannot be loaded, or the settings cannot be used, so that a restart would not help.
CANNOT_START = 78
