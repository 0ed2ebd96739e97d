"""Output files and their time-limited URLs (contract section 10, "Outputs")."""

from __future__ import annotations

import hmac
import secrets
import shutil
from hashlib import sha256
from pathlib import Path
from time import time

from local.runflow.model import Output
from local.runflow.problems import Problem


class Outputs:
    """Files under `folder`, one folder per run, served at `base_url`/outputs/ by URLs that are signed and expire."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._folder = folder
        self._base_url = base_url.rstrip("/")
        self._key = secrets.token_bytes(32)

    def store(self, run_id: str, name: str, content_type: str, body: bytes) -> Output:
        """Write one file. Blocks."""
        folder = self._folder / run_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
        return Output(name, content_type, len(body))

    def url(self, run_id: str, name: str, seconds: float) -> str:
        """A URL that is valid for so many seconds; with 0 or less it has expired already."""
        expires = f"{time() + seconds:.3f}"
        signature = self._signature(run_id, name, expires)
        return f"{self._base_url}/outputs/{run_id}/{name}?Expires={expires}&Signature={signature}"

    def open(self, run_id: str, name: str, expires: str, signature: str) -> Path:
        """The file behind a URL. Raises Problem 403 for one that expired or was forged, 404 if the file is gone."""
        if not hmac.compare_digest(signature.encode(), self._signature(run_id, name, expires).encode()):
            raise Problem(403, "SignatureDoesNotMatch", "The URL's signature does not match.")
        if time() >= float(expires):
            raise Problem(403, "AccessDenied", "Request has expired")
        path = self._folder / run_id / name
        if not path.is_file():
            raise Problem(404, "NoSuchKey", "The file is gone.")
        return path

    def clear(self) -> None:
        """Delete every file."""
        for folder in self._folder.iterdir():
            shutil.rmtree(folder, ignore_errors=True)

    def _signature(self, run_id: str, name: str, expires: str) -> str:
        return hmac.new(self._key, f"{run_id}/{name}/{expires}".encode(), sha256).hexdigest()
