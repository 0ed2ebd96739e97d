"""The function's own disk, `/tmp`: 512 MB that its invocations share, and which can be full."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from detag.ports.errors import Transient


@contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """A file without a name, gone afterwards.

    Raises `Transient` where it cannot be made, written, read or closed: closing writes what is left.
    """
    try:
        with tempfile.TemporaryFile() as file:
            yield file
    except OSError as error:
        why = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise Transient(f"temporary file failed: {why}") from None
