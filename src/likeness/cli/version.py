"""The version of this installation."""


def version() -> str:
    """The version of the distribution `likeness`."""
    from importlib.metadata import version as installed

    return installed("likeness")


def version_line() -> str:
    """What `--version` prints."""
    return f"likeness {version()}"
