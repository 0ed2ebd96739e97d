"""The functions as Lambda gets them: built by `sam build`, zipped by SAM, unpacked with the zip's times, read-only."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import certifi

from benchmarks.machine import ROOT, RUNTIME

SAM: Final = ROOT / ".venv/sam/bin/python"
CERTIFI: Final = Path("python/certifi")
_ZIP: Final = """
import sys
from samcli.lib.package.utils import make_zip_with_lambda_permissions
make_zip_with_lambda_permissions(sys.argv[1], sys.argv[2])
"""


@dataclass(frozen=True)
class Package:
    """Unpacked artifacts, by logical id."""

    folder: Path

    def function(self, name: str) -> str:
        """What is at the front of sys.path of a function (submit, ...)."""
        folders = (f"{name.title()}Function", "DetagLayer/python", "DependenciesLayer/python")
        return os.pathsep.join(str(self.folder / one) for one in folders)

    def alone(self, *names: str) -> str:
        """The same for a function with these folders and no layers."""
        return os.pathsep.join(str(self.folder / name) for name in names)

    def copy(self, folder: Path) -> Package:
        """A copy, of what `submit` is made of, that can be changed."""
        for name in ("SubmitFunction", "DetagLayer", "DependenciesLayer"):
            shutil.copytree(self.folder / name, folder / name)
        for path in folder.rglob("*"):
            path.chmod(0o755)
        return Package(folder)

    def compiled(self, layer: str = "DetagLayer") -> None:
        """Compile a changed layer as the build does."""
        command = [str(RUNTIME), "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
        subprocess.run([*command, str(self.folder / layer)], check=True)


def build(work: Path) -> Package:
    """Build detag and the naive function, and unpack both as Lambda does. The floor is put beside them."""
    path = os.pathsep.join([str(RUNTIME.parent), os.environ["PATH"]])  # where the builds find the runtime's Python
    env = {
        **os.environ,
        "PATH": path,
        "PYTHON": sys.executable,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(work / "sam"),
    }
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    for template, parameters in (
        (ROOT / "template.yaml", []),
        (ROOT / "benchmarks/naive/template.yaml", ["--parameter-overrides", f"Architecture={architecture}"]),
    ):
        folder = work / f"built-{template.parent.name}"
        command = [
            str(SAM),
            "-m",
            "samcli",
            "build",
            "--template-file",
            str(template),
            "--build-dir",
            str(folder),
            *parameters,
        ]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"sam build failed:\n{done.stderr[-3000:]}")
        for artifact in folder.iterdir():
            if artifact.is_dir():
                _unpacked(artifact, work)
    _floor(work / "package")
    return Package(work / "package")


def _floor(folder: Path) -> None:
    """The floor, and beside it httpx, whole, as pip installs it: the runtime has boto3, but not httpx."""
    floor, packages = folder / "Floor", folder / "FloorPackages"
    floor.mkdir()
    shutil.copy(ROOT / "benchmarks/floor/handler.py", floor)
    site = Path(certifi.__file__).parents[1]
    for name in ("anyio", "certifi", "h11", "httpcore", "httpx", "idna"):
        shutil.copytree(site / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(site / "typing_extensions.py", packages)
    subprocess.run([str(RUNTIME), "-m", "compileall", "-q", str(floor), str(packages)], check=True)


def _unpacked(artifact: Path, work: Path) -> None:
    zipped = work / artifact.name
    subprocess.run([str(SAM), "-c", _ZIP, str(zipped), str(artifact)], check=True)
    target = work / "package" / artifact.name
    with zipfile.ZipFile(f"{zipped}.zip") as archive:
        archive.extractall(target)
        for entry in archive.infolist():
            moment = time.mktime((*entry.date_time, 0, 0, -1))
            os.utime(target / entry.filename, (moment, moment))
            (target / entry.filename).chmod(0o555)


def trust(package: Package, authority: Path) -> None:
    """Have the layer trust one more authority, as it trusts the others."""
    subprocess.run(["openssl", "version"], check=True, stdout=subprocess.DEVNULL)
    folder = package.folder / "DependenciesLayer" / CERTIFI
    digits = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", str(authority)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    shutil.copy(authority, folder / "roots" / f"{digits}.0")
    bundle = folder / "cacert.pem"
    bundle.chmod(0o644)
    with bundle.open("a", encoding="ascii") as file:
        file.write(authority.read_text(encoding="ascii"))


def authority(work: Path) -> tuple[Path, Path]:
    """A certificate authority of our own, and a certificate for 127.0.0.1 with its key, both PEM."""
    ca, key, request, certificate = (work / name for name in ("ca.pem", "ca.key", "server.csr", "server.crt"))
    server_key, extensions, both = work / "server.key", work / "server.ext", work / "server.pem"
    kind = ["-newkey", "rsa:2048", "-nodes"]
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n")
    for command in (
        ["req", "-x509", *kind, "-keyout", str(key), "-out", str(ca), "-days", "30", "-subj", "/CN=detag benchmarks",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        ["req", *kind, "-keyout", str(server_key), "-out", str(request), "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(key), "-CAcreateserial", "-days", "30",
         "-extfile", str(extensions), "-out", str(certificate)],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    both.write_text(certificate.read_text() + server_key.read_text())
    return ca, both


def megabytes(folder: Path) -> float:
    """The bytes of a folder's files, in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1_000_000
