"""Which folders the local stack may delete files from."""

from pathlib import Path

MARKER = ".detag-local"


def claim(folder: Path) -> Path:
    """Mark ``folder`` as the local stack's own, so that anything in it may be deleted.

    Raises RuntimeError unless the folder is missing, empty or already claimed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not is_claimed(folder):
        if any(folder.iterdir()):
            raise RuntimeError(f"there are files in {folder} that are not the local stack's: choose an empty folder")
        (folder / MARKER).touch()
    return folder


def is_claimed(folder: Path) -> bool:
    """Whether the folder was claimed before."""
    return (folder / MARKER).is_file()
