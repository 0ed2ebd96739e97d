"""No pixel is decoded in a function, and no file, however it is made, makes a function slow or fall over."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from detag.domain.images import (
    DELIVERABLE,
    HEAD_BYTES,
    LONG_HEAD_BYTES,
    TAIL_BYTES,
    Image,
    NotAnImage,
    check_tail,
    headers_go_on,
    sniff,
)
from detag.ports.runs_fake import tiny_image
from tests.handlers import AWS
from tests.security.harness import ENVIRON
from tests.shapes import chunk, segment

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "layers" / "detag" / "python"
DECODERS = {"PIL", "cv2", "numpy", "imageio", "skimage", "scipy", "pillow_heif", "pyvips", "wand", "rawpy", "av", "png"}
UNPACKERS = {"zlib", "gzip", "bz2", "lzma", "zipfile", "tarfile", "shutil", "brotli", "zstandard", "compression"}
FUNCTIONS = ("submit", "callback", "deliver", "reconcile")

LOAD = """
import importlib.util, sys
sys.path[:0] = [sys.argv[1]]
spec = importlib.util.spec_from_file_location("handler", sys.argv[2])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(*sys.modules)
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_handler_loads_anything_that_decodes_images(function: str) -> None:
    powertools = {"POWERTOOLS_SERVICE_NAME": function, "POWERTOOLS_METRICS_NAMESPACE": "detag"}
    environ = {**ENVIRON, **AWS, **powertools, "PATH": os.defpath}
    command = [sys.executable, "-c", LOAD, str(LIBRARY), str(ROOT / "functions" / function / "handler.py")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"detag", "botocore"} <= loaded
    assert not loaded & DECODERS


def test_the_layer_brings_nothing_that_decodes_images() -> None:
    """The whole list, so that whatever comes to it comes by this test."""
    text = (ROOT / "layers" / "dependencies" / "requirements.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    assert names == {
        *("aws-lambda-powertools", "jmespath", "typing-extensions"),
        *("boto3", "botocore", "python-dateutil", "s3transfer", "six", "urllib3"),
        *("httpx", "httpcore", "h11", "certifi", "idna", "anyio"),
        "filetype",
    }


def test_no_code_of_ours_unpacks_anything() -> None:
    """A bomb that nobody unpacks does not go off."""
    files = [*LIBRARY.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    assert len(files) > 40
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found = {name.partition(".")[0] for name in names} & (DECODERS | UNPACKERS)
            assert not found or path.name.endswith("_fake.py"), f"{path}: {found}"


def spoilt(chance: Random, image: bytes) -> bytes:
    """A image with a few bytes of its first part changed, put in or left out, sometimes cut off."""
    data = bytearray(image)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(min(len(data), chance.choice([20, 60, 400])))
        match chance.randrange(4):
            case 0:
                data[at] = chance.choice([0x00, 0x01, 0x7F, 0xD8, 0xDA, 0xFF, chance.randrange(256)])
            case 1:
                data[at : at + 4] = chance.randbytes(4)
            case 2:
                data[at:at] = bytes([chance.choice([0x00, 0xFF])]) * chance.choice([1, 2, 100, 60_000])
            case _:
                del data[at : at + chance.randint(1, 8)]
        data = data or bytearray(b"\0")
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data)


def test_a_spoilt_image_is_judged_at_once() -> None:
    """A spoilt image is judged at once, whatever was done to it."""
    chance = Random(4)
    images = [tiny_image(kind, b"x" * 60) for kind in DELIVERABLE]
    longest, judged = 0.0, {"good": 0, "bad": 0}
    for _ in range(4_000):
        data = spoilt(chance, chance.choice(images))
        size = chance.choice([len(data), len(data) + 1_000, 10**9])
        began = time.process_time()
        try:
            sniffed = sniff(data[:HEAD_BYTES], size)
            check_tail(sniffed, data[:HEAD_BYTES], data[-TAIL_BYTES:])
            judged["good"] += 1
        except NotAnImage:
            judged["bad"] += 1
        longest = max(longest, time.process_time() - began)
    assert longest < 0.5
    assert min(judged.values()) > 400, judged


SLOW = {
    "fill bytes": b"\xff\xd8" + b"\xff" * LONG_HEAD_BYTES,
    "fill bytes that lead nowhere": b"\xff\xd8\xff\xe0" + b"\xff\0" * (LONG_HEAD_BYTES // 2),
    "bytes that are no headers": b"\xff\xd8\xff\xe0\0\2" + b"\0" * LONG_HEAD_BYTES,
    "short segments": b"\xff\xd8" + segment(0xE0, b"") * (LONG_HEAD_BYTES // 4),
    "restart marks": b"\xff\xd8\xff" + b"\xd0\xff" * (LONG_HEAD_BYTES // 2),
    "short chunks": b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"") * (LONG_HEAD_BYTES // 12),
    "short blocks of a GIF": b"GIF89a\1\0\1\0\0\0\0!\0" + b"\1\1" * (HEAD_BYTES // 2),
    "frames of a GIF": b"GIF89a\1\0\1\0\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2\0" * (HEAD_BYTES // 12),
}


@pytest.mark.parametrize("name", SLOW)
def test_the_longest_head_is_judged_at_once(name: str) -> None:
    data = SLOW[name][: HEAD_BYTES if "GIF" in name else LONG_HEAD_BYTES]
    began = time.process_time()
    headers_go_on(data, 10**9)
    with suppress(NotAnImage):
        sniff(data, 10**9)
    image = Image("image/jpeg", 8, 8, 10**9, 2, animated=False)
    with suppress(NotAnImage):
        check_tail(image, data, data)
    assert time.process_time() - began < 0.5
