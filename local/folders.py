"""Which folders the local stack may tidy up."""

from pathlib import Path

MARKER = ".detag-local"


def claim(folder: Path) -> Path:
    """Make sure that all there is in ``folder``, now and later, is the local stack's own, to be deleted at will.

    A folder that is missing or empty becomes so; one with anything else in it never does: raises RuntimeError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not is_ours(folder):
        if any(folder.iterdir()):
            raise RuntimeError(f"there are files in {folder} that are not the local stack's: choose an empty folder")
        (folder / MARKER).touch()
    return folder


def is_ours(folder: Path) -> bool:
    """Whether ``claim`` has been here before."""
    return (folder / MARKER).is_file()
