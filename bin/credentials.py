"""Says which committed files hold what has the form of a real key or secret: of AWS, Runflow, GitHub and others.

    .venv/policy/bin/python bin/credentials.py

Exit status 1 if there is one; the secret itself is not printed. Nothing is asked of any network. Words such as
`password=` and long random strings are not looked for: pins, hashes and made-up values of tests are full of them. What
only looks like a secret is let through by the comment `pragma: allowlist secret` in its line.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

GUESSES = {"Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector"}

OURS = {
    # The made-up ones of tests and documents are shorter.
    "RunflowSecret": re.compile(r"\b(?:rf_(?:live|svc)|whsec)_[A-Za-z0-9_+/=-]{24,}"),
    # The package's own detector of private keys reads small files only.
    "PrivateKeyHeader": re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
}

# Put together here, so that this file is not a finding.
SAMPLES = (
    "AKIA" + 4 * "Q7Z3",
    "ghp_" + 18 * "a7",
    "rf_live_" + 8 * "a7b3",
    "whsec_" + 8 * "a7b3",
    "-----BEGIN " + "PRIVATE KEY-----",
)


def found(root: Path, names: Iterable[str]) -> list[str]:
    """Each finding in these files under `root`, as `file:line: kind`."""
    from detect_secrets import SecretsCollection
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.settings import transient_settings

    kinds = get_mapping_from_secret_type_to_class()  # which is where the package itself adds plugins
    for name, form in OURS.items():
        kinds[name] = type(name, (RegexBasedDetector,), {"secret_type": name, "denylist": (form,)})
    settings = {
        "plugins_used": [{"name": kind.__name__} for kind in kinds.values() if kind.__name__ not in GUESSES],
        "filters_used": [{"path": "detect_secrets.filters.allowlist.is_line_allowlisted"}],
    }
    secrets = SecretsCollection(root=str(root))
    with transient_settings(settings):
        for name in names:
            secrets.scan_file(name)
    return sorted({f"{name}:{secret.line_number}: {secret.type}" for name, secret in secrets})


def overlooked() -> list[str]:
    """Those of the samples that are not found: none, unless another version of the package works differently."""
    with tempfile.TemporaryDirectory() as folder:
        for number, sample in enumerate(SAMPLES):
            (Path(folder) / f"{number}.txt").write_text(f"key = {sample}\n", encoding="utf-8")
        files = [f"{number}.txt" for number in range(len(SAMPLES))]
        seen = {finding.partition(":")[0] for finding in found(Path(folder), files)}
    return [sample for sample, file in zip(SAMPLES, files, strict=True) if file not in seen]


def committed(root: Path) -> list[str]:
    """The files that git keeps, staged ones included, by their paths in the repository; none in an unpacked archive."""
    if not (root / ".git").exists():
        return []
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if (root / name).is_file()]


def main(root: Path = ROOT) -> int:
    """Returns the exit status."""
    if missed := overlooked():
        print(f"the search for secrets does not work any more: it overlooks {', '.join(missed)}")
        return 1
    names = committed(root)
    findings = found(root, names)
    print("\n".join(findings) or f"no key or secret in {len(names)} committed files")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
