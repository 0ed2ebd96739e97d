"""Requests to the callback route, each made from a seed and its number alone: evidence times body, drawn apart.

Every kind says beforehand how its request is to be answered, so that nothing here repeats what the handler does. Two
words for kinds: the *evidence* is how the signature came about, the *body* is what was signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

MIB: Final = 1_048_576
ROTATION: Final = 1_000
"""Requests between two rotations of the signing secret."""
ANY: Final = ["any output URLs at all"]
MAYBE: Final[dict[str, Any]] = {"maybe": "usable or not: some versions of Python read what others don't"}
JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"


def secret(epoch: int) -> str:
    """The secret that Runflow signs with in an epoch. They are of different lengths, and some are not ASCII."""
    return f"whsec_{epoch}_{'ü' * (epoch % 3)}{hashlib.sha256(str(epoch).encode()).hexdigest()[: 20 + epoch % 40]}"


def accepted(epoch: int) -> tuple[str, str]:
    """What the operator has stored by then: the current one first."""
    return secret(epoch), secret(epoch - 1)


def sign(key: str | bytes, body: bytes, digest: Any = hashlib.sha256) -> str:
    """Lower-case hex HMAC, as contract section 4 has it."""
    return hmac.new(key if isinstance(key, bytes) else key.encode(), body, digest).hexdigest()


@dataclass
class Sent:
    """A request on its way. `message` is what must be enqueued if the evidence is good: None for nothing."""

    body: bytes
    message: dict[str, Any] | None
    content_type: str = JSON
    signature: Any = None
    good: bool = False
    shaped: bool = False
    """Whether the signature looks like one: only then may the secrets be read."""
    event: dict[str, Any] = field(default_factory=dict)
    """What the event has in place of what API Gateway makes of the rest."""


@dataclass(frozen=True)
class Case:
    """A request as the function gets it, with the answer that it must give."""

    number: int
    evidence: str
    kind: str
    event: dict[str, Any]
    status: int
    good: bool
    shaped: bool
    message: dict[str, Any] | None
    bad_body: bool


# Bodies


def envelope(rng: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """A usable envelope, of any shape that the contract knows, and its message."""
    job_id, run_id = f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(128):032x}"
    event, status, meaning = rng.choice(
        [
            ("run.completed", "succeeded", "succeeded"),
            ("run.failed", "failed", "failed"),
            ("run.cancelled", "cancelled", "cancelled"),
            ("run.cancelled", "canceled", "cancelled"),
            ("run.partial_succeeded", "partial_succeeded", "partial_succeeded"),
            ("run.shiny_new_event", "succeeded", "succeeded"),
            ("run.completed", "shiny_new_status", "succeeded"),
        ]
    )
    good = meaning in ("succeeded", "partial_succeeded")
    urls = [f"https://out.example.com/{run_id}/{n}.webp?X-Amz-Signature=0" for n in range(rng.randint(1, 4))]
    output = rng.choice(
        [
            {"image_urls": urls},
            {"outputs": [{"url": url, "type": "image"} for url in urls], "seed": None, "timing": {"inference": 1.5}},
            {"outputs": urls},
        ]
    )
    body = {
        "event": event,
        "run_id": run_id,
        "status": status,
        "output": output if good else rng.choice([None, {"code": "X", "message": "no"}]),
        "duration_ms": rng.choice([None, 1200, 0.5]),
        "created_at": "2026-11-23T09:30:01+00:00",
        "completed_at": rng.choice([None, "2026-11-23T09:30:36.000000Z"]),
        "metadata": {"app": "detag", "v": "1", "job_id": job_id, "client_ref": f"{job_id}.1", "key": _words(rng)},
    }
    message = {"job_id": job_id, "run_id": run_id, "event": event, "status": meaning, "links": urls if good else []}
    return body, message | {"left_out": 0}


def _words(rng: Random) -> str:
    letters = string.ascii_letters + string.digits + " /+%äß中😀\u202e\x00\x1f'\"\\<>"
    return "".join(rng.choices(letters, k=rng.randint(0, 40)))


def _text(rng: Random, body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))
    return text.encode("utf-8", "surrogatepass")


def good(rng: Random) -> Sent:
    body, message = envelope(rng)
    if rng.random() < 0.3:
        body |= {_words(rng): junk(rng, 3) for _ in range(rng.randint(1, 5))}
        body.pop("batch_id", None)
    return Sent(_text(rng, body), message)


def junk(rng: Random, depth: int) -> Any:
    """Any JSON value, and the constants that Python's reader takes for JSON."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.choice([0, -1, 2**31, -(2**63), 2**64, 10**300, rng.getrandbits(2000)]),
        lambda: rng.choice([0.0, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")]),
        lambda: _words(rng),
        lambda: rng.choice(["", "\ud800", "\udfff\ud800", "\x00", "\uffff", "a" * 5000, "{}", "null", "__proto__"]),
    ]
    if depth:
        kinds += [
            lambda: [junk(rng, depth - 1) for _ in range(rng.randint(0, 4))],
            lambda: {_words(rng): junk(rng, depth - 1) for _ in range(rng.randint(0, 4))},
        ]
    return rng.choice(kinds)()


def empty(rng: Random) -> Sent:
    return Sent(rng.choice([b"", b"", b" ", b"\n", b"\t \r\n", b"\x00", "\ufeff".encode()]), None)


def binary(rng: Random) -> Sent:
    return Sent(rng.randbytes(rng.randint(1, 3000)) + b"\xff", None, BINARY)


def scalar(rng: Random) -> Sent:
    value = junk(rng, 2)
    return Sent(_text(rng, [value] if isinstance(value, dict) else value), None, BINARY)


def truncated(rng: Random) -> Sent:
    whole = json.dumps(envelope(rng)[0]).encode()
    return Sent(whole[: rng.randrange(len(whole))], None)


def trailing(rng: Random) -> Sent:
    rest = rng.choice([b"x", b"{}", b"\x00", b"]", b'{"run_id": 1}'])
    return Sent(json.dumps(envelope(rng)[0]).encode() + rest, None)


def spoilt(rng: Random) -> Sent:
    """One byte of the outer braces' syntax changed: no JSON any more."""
    whole = json.dumps(envelope(rng)[0]).encode()
    return Sent(rng.choice([whole.replace(b":", b"=", 1), whole.replace(b'"', b"'", 2), whole[1:], b"[" + whole]), None)


def deep(rng: Random) -> Sent:
    depth = rng.choice([900, 1_100, 5_000, 50_000, 150_000])
    opening, outbox = rng.choice([("[", "]"), ('{"a":', "}")])
    nest = opening * depth + "0" + outbox * depth
    if rng.random() < 0.4:
        return Sent(nest.encode(), None)
    return Sent(json.dumps(envelope(rng)[0] | {"deep": "HERE"}).replace('"HERE"', nest).encode(), MAYBE)


def huge_number(rng: Random) -> Sent:
    body, message = envelope(rng)
    digits = rng.choice([4_000, 5_000, 100_000])
    number = rng.choice(["1" * digits, "-" + "9" * digits, "1e" + "9" * 20, "0." + "3" * digits, "1" * digits + "e5"])
    text = json.dumps(body | {"duration_ms": "HERE"}).replace('"HERE"', number).encode()
    whole = number.lstrip("-").isdigit() and digits > 4_300  # Python reads no longer whole number
    return Sent(text, None if whole else message)


def constants(rng: Random) -> Sent:
    body, message = envelope(rng)
    name = rng.choice(["duration_ms", "created_at", "completed_at", "extra"])
    return Sent(json.dumps(body | {name: rng.choice([float("nan"), float("inf"), -float("inf")])}).encode(), message)


def surrogates(rng: Random) -> Sent:
    """Half of a character where text is expected: as an escape, which is JSON, or as bytes, which are not UTF-8."""
    body, message = envelope(rng)
    half = rng.choice(["\ud800", "\udc00", "\udfff\ud800", "a\ud83d"])
    name = rng.choice(["created_at", "extra", "key", "run_id", "job_id", "app", "event", "status"])
    if name in ("key", "job_id", "app"):
        body["metadata"][name] += half
    else:
        body[name] = str(body.get(name, "")) + half
    usable = name in ("created_at", "extra", "key")
    text = json.dumps(body)
    if name == "event":
        return Sent(text.encode(), {**message, "event": body["event"]} if _known(body["status"]) else None)
    if name == "status":
        return Sent(text.encode(), message if _known(body["event"].removeprefix("run.")) else None)
    return Sent(text.encode(), message if usable else None)


def _known(word: str) -> bool:
    return word in ("succeeded", "completed", "failed", "cancelled", "canceled", "partial_succeeded")


def wrong_type(rng: Random) -> Sent:
    """Another type in one field of the envelope or of the metadata."""
    body, message = envelope(rng)
    wrong: Any = rng.choice([None, True, 0, 1.5, float("nan"), [], [1], {}, {"a": 1}, "", [[]], {"url": {}}])
    name = rng.choice(
        [*body, "batch_id", "metadata.app", "metadata.job_id", "metadata.key", "metadata.v", "output.inside"]
    )
    if name == "output.inside":
        body["output"] = dict.fromkeys(("outputs", "image_urls", "image", "url", "output_url"), wrong)
        return Sent(json.dumps(body).encode(), {**message, "links": []})
    holder, _, inner = name.rpartition(".")
    (body["metadata"] if holder else body)[inner] = wrong
    expected: dict[str, Any] | None = message
    if inner in ("run_id", "metadata", "app", "job_id") or (inner == "batch_id" and wrong is not None):
        expected = None
    elif inner == "output":
        expected = {**message, "links": []}
    elif inner == "event":
        known = _known(body["status"])
        status = {"canceled": "cancelled"}.get(body["status"], body["status"])
        urls = message["links"] if status in ("succeeded", "partial_succeeded") else []
        expected = {**message, "event": "", "status": status, "links": urls} if known else None
        if wrong == "":
            expected = expected and {**expected, "event": ""}
    elif inner == "status":
        expected = message if _known(body["event"].removeprefix("run.")) else None
    return Sent(json.dumps(body).encode(), expected)


def random_object(rng: Random) -> Sent:
    """An object whose fields have the right names and any values at all; never usable, as its run has no marker."""
    names = ["event", "run_id", "status", "output", "metadata", "batch_id", "created_at", "duration_ms", ""]
    body = {name: junk(rng, 4) for name in rng.sample(names, rng.randint(0, len(names)))}
    if isinstance(body.get("metadata"), dict):
        body["metadata"].pop("app", None)
    return Sent(json.dumps(body).encode(), None)


def batch(rng: Random) -> Sent:
    body, _ = envelope(rng)
    if rng.random() < 0.5:
        body["event"] = rng.choice(["batch.completed", "batch.failed", "batch.", "batch.partial_succeeded"])
    else:
        body["batch_id"] = rng.choice(["b1", 0, False, [], {}])
    return Sent(json.dumps(body).encode(), None)


def unknown_event(rng: Random) -> Sent:
    body, _ = envelope(rng)
    body["event"] = rng.choice(["run.paused", "run.", "run", "", "RUN.COMPLETED\n", "ping", "run.completed.v2", None])
    body["status"] = rng.choice(["paused", "", None, "succeeded\n", "pending_review", " failed"])
    return Sent(json.dumps(body).encode(), None)


def no_run(rng: Random) -> Sent:
    body, _ = envelope(rng)
    if rng.random() < 0.3:
        del body["run_id"]
    else:
        bad = ["", " ", "../../x", "a/b", "a" * 65, "abc\n", "a b", "ab%2e", "é", "a\x00", "a?b", "${jndi:x}", "\uff1b"]
        body["run_id"] = rng.choice(bad)
    return Sent(json.dumps(body).encode(), None)


def not_ours(rng: Random) -> Sent:
    body, _ = envelope(rng)
    job_id = body["metadata"]["job_id"]
    metadata = rng.choice(
        [
            {},
            {"app": "detag"},
            {"job_id": job_id},
            {"app": "Detag", "job_id": job_id},
            {"app": "other", "job_id": job_id},
            *(
                {"app": "detag", "job_id": bad}
                for bad in (job_id.upper() + "A", job_id[1:], job_id + "0", job_id + "\n")
            ),
            {"app": "detag", "job_id": "\uff10" * 32},
            {"app": "detag", "job_id": "../" * 10 + "ab"},
        ]
    )
    return Sent(json.dumps(body | {"metadata": metadata}).encode(), None)


def twice_named(rng: Random) -> Sent:
    """A field twice: the last one counts, for us as for anyone who reads JSON with Python."""
    body, message = envelope(rng)
    text = json.dumps(body)
    return Sent(('{"run_id": "' + "f" * 32 + '", "metadata": 0, ' + text[1:]).encode(), message)


def many_urls(rng: Random) -> Sent:
    body, message = envelope(rng)
    count = rng.choice([15, 16, 17, 100, 5_000])
    urls = [f"https://out.example.com/{n}?s={'x' * rng.choice([0, 50])}" for n in range(count)]
    body |= {"event": "run.completed", "status": "succeeded"}
    body["output"] = rng.choice([{"image_urls": urls}, {"outputs": [{"url": url} for url in urls]}])
    message |= {"event": "run.completed", "status": "succeeded", "links": urls[:16]}
    message |= {"left_out": max(0, count - 16)}
    return Sent(json.dumps(body).encode(), message)


def long_urls(rng: Random) -> Sent:
    """URLs that are long, or become so: a character outside of ASCII is up to twelve in a queue's message."""
    body, message = envelope(rng)
    tail = rng.choice(["a", "é", "中", "😀", "\ud800"]) * rng.choice([10, 1_000, 4_000, 12_000])
    urls = [f"https://out.example.com/{n}/{tail}" for n in range(rng.randint(1, 16))]
    body |= {"event": "run.completed", "status": "succeeded", "output": {"image_urls": urls}}
    text = json.dumps(body).encode()
    return Sent(text, message | {"event": "run.completed", "status": "succeeded", "links": ANY})


def odd_urls(rng: Random) -> Sent:
    body, message = envelope(rng)
    odd: list[Any] = [
        *(
            "http://[",
            "https://[::1",
            "https://a]b",
            "http://\u2100.com",
            "http://x:port/",
            "https://\x00",
            "https",
            ":",
        ),
        *("javascript:alert(1)", "file:///etc/passwd", "data:image/png;base64,AAAA", "ftp://x/y", "//x", ""),
        *(None, 7, [], {"url": 1}, {"url": None, "image_url": []}),
        *({"type": kind, "url": "https://x/y"} for kind in ("video", ["image"], 1)),
    ]
    body |= {"event": "run.completed", "status": "succeeded"}
    body["output"] = {
        rng.choice(["outputs", "image_urls"]): rng.choices(odd, k=rng.randint(1, 12)),
        "url": rng.choice(odd),
    }
    return Sent(json.dumps(body).encode(), message | {"event": "run.completed", "status": "succeeded", "links": ANY})


def large(rng: Random) -> Sent:
    """At the limit, and beyond."""
    body, message = envelope(rng)
    size = rng.choice([MIB - 1, MIB, MIB + 1, MIB + 7, 2 * MIB])
    text = json.dumps(body | {"padding": ""}).encode()
    text = text.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(text)) + b'"')
    return Sent(text, message)


def large_binary(rng: Random) -> Sent:
    return Sent(rng.randbytes(1_000) * (rng.choice([500_000, MIB + 1_000, 3 * MIB]) // 1_000), None, BINARY)


def other_encoding(rng: Random) -> Sent:
    """JSON in UTF-16 or UTF-32, which Python reads too."""
    body, message = envelope(rng)
    return Sent(json.dumps(body).encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])), message, BINARY)


BODIES: Final[dict[str, tuple[float, Callable[[Random], Sent]]]] = {
    "usable": (12, good),
    "empty": (4, empty),
    "binary": (5, binary),
    "not an object": (5, scalar),
    "truncated": (5, truncated),
    "trailing garbage": (3, trailing),
    "spoilt": (4, spoilt),
    "deeply nested": (1, deep),
    "huge number": (2, huge_number),
    "NaN and infinity": (3, constants),
    "lone surrogate": (6, surrogates),
    "wrong type": (14, wrong_type),
    "random object": (8, random_object),
    "batch": (4, batch),
    "unknown event": (5, unknown_event),
    "no run id": (5, no_run),
    "not ours": (5, not_ours),
    "field twice": (2, twice_named),
    "many URLs": (2, many_urls),
    "long URLs": (1.5, long_urls),
    "odd URLs": (5, odd_urls),
    "1 MiB and more": (0.3, large),
    "large binary": (0.3, large_binary),
    "other encoding": (3, other_encoding),
}

# Evidence


def _signatures(rng: Random, sent: Sent, epoch: int) -> dict[str, Callable[[], Any]]:
    """Every kind of bad evidence, by what `Runflow-Signature` is then."""
    body, key = sent.body, secret(epoch)
    true = sign(key, body)
    other = rng.randrange(64)
    flipped = (
        true[:other] + rng.choice([digit for digit in "0123456789abcdef" if digit != true[other]]) + true[other + 1 :]
    )
    return {
        "no header": lambda: None,
        "empty header": lambda: "",
        "one digit wrong": lambda: flipped,
        "made up": lambda: f"{rng.getrandbits(256):064x}",
        "all zeros": lambda: "0" * 64,
        "another secret": lambda: sign("whsec_of somebody else", body),
        "a retired secret": lambda: sign(secret(epoch - 5), body),
        "secret without whsec_": lambda: sign(key.removeprefix("whsec_"), body),
        "empty secret": lambda: sign(b"", body),
        "of another body": lambda: sign(key, body + b" "),
        "of the body in base64": lambda: sign(key, base64.b64encode(body or b"-")),
        "of nothing": lambda: sign(key, b"" if body else b"-"),
        "SHA-1": lambda: sign(key, body, hashlib.sha1),
        "SHA-512": lambda: sign(key, body, hashlib.sha512),
        "plain SHA-256": lambda: hashlib.sha256(key.encode() + body).hexdigest(),
        "upper case": lambda: true.upper() if true.upper() != true else "A" * 64,
        "sha256= before it": lambda: f"sha256={true}",
        "v1= before it": lambda: f"t=1,v1={true}",
        "base64": lambda: base64.b64encode(bytes.fromhex(true)).decode(),
        "63 digits": lambda: true[:63],
        "65 digits": lambda: true + "0",
        "very long": lambda: true * 100,
        "newline after it": lambda: true + "\n",
        "blank before it": lambda: " " + true,
        "NUL after it": lambda: true + "\x00",
        "header twice": lambda: f"{true},{true}",
        "header twice, one bad": lambda: f"{flipped},{true}",
        "not ASCII": lambda: rng.choice(["é" * 64, true[:63] + "é", "\uff10" * 64, true + "\u200b", "😀" * 16]),
        "lone surrogate": lambda: rng.choice([true[:63] + "\ud800", "\udfff" * 64]),
        "quotes": lambda: f'"{true}"',
    }


SHAPED: Final = {
    "one digit wrong", "made up", "all zeros", "another secret", "a retired secret", "secret without whsec_",
    "empty secret", "of another body", "of the body in base64", "of nothing", "plain SHA-256",
}  # fmt: skip
"""Bad evidence that looks good: 64 lower-case hex digits."""


def _prove(rng: Random, sent: Sent, epoch: int) -> str:
    """Put the evidence in; returns its kind."""
    draw = rng.random()
    if draw < 0.62:
        current = draw < 0.5
        sent.signature = sign(secret(epoch if current else epoch - 1), sent.body)
        sent.good = sent.shaped = True
        return "current secret" if current else "previous secret"
    if draw < 0.66 and len(sent.body) < MIB // 2:
        return _disturb(rng, sent, secret(epoch))
    signatures = _signatures(rng, sent, epoch)
    kind = rng.choice(list(signatures))
    sent.signature, sent.shaped = signatures[kind](), kind in SHAPED
    return kind


def _disturb(rng: Random, sent: Sent, key: str) -> str:
    """A good signature that does not fit any more: the body or its encoding was changed behind it."""
    sent.signature, sent.shaped = sign(key, sent.body), True
    encoded = base64.b64encode(sent.body).decode()
    disturbances: dict[str, dict[str, Any]] = {
        "said to be base64, and is not": {"body": "{not base64!}", "isBase64Encoded": True},
        "base64, and not said to be": {"body": encoded + "=", "isBase64Encoded": False},
        "base64 cut off": {"body": (encoded or "AAAA")[:-1], "isBase64Encoded": True},
        "body lost": {"body": None if sent.body else "x", "isBase64Encoded": False},
        "body no text": {"body": {"a": 1}, "isBase64Encoded": False},
        "body changed": {"body": encoded[:-4] + "AAAA" + "AAAA", "isBase64Encoded": True},
        "half a character in the body": {"body": '{"a": "\ud800"}', "isBase64Encoded": False},
        "no headers": {"headers": None},
    }
    kind = rng.choice(list(disturbances))
    sent.event |= disturbances[kind]
    return kind


# The event


def gateway(sent: Sent, rng: Random) -> dict[str, Any]:
    """What API Gateway makes of a POST, payload format 2.0: names in lower case, a body that is no text in base64."""
    headers = {"content-type": sent.content_type, "host": "api.example.com", "x-forwarded-for": "203.0.113.9"}
    if sent.signature is not None:
        headers[rng.choice(["runflow-signature", "runflow-signature", "Runflow-Signature"])] = sent.signature
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "POST /callbacks",
        "rawPath": "/callbacks",
        "rawQueryString": rng.choice(["", "a=1&a=2"]),
        "headers": headers,
        "requestContext": {"http": {"method": "POST", "path": "/callbacks", "sourceIp": "203.0.113.9"}},
        "isBase64Encoded": False,
    }
    if sent.body:
        try:
            event["body"] = sent.body.decode() if sent.content_type == JSON and rng.random() < 0.8 else None
        except UnicodeDecodeError:
            event["body"] = None
        if event["body"] is None:
            event["body"], event["isBase64Encoded"] = base64.b64encode(sent.body).decode(), True
    return event | sent.event


def case(seed: int, number: int) -> Case:
    """Request `number` of a run."""
    rng = Random(f"{seed}/{number}")
    weights = [weight for weight, _ in BODIES.values()]
    (kind,) = rng.choices(list(BODIES), weights)
    sent = BODIES[kind][1](rng)
    evidence = _prove(rng, sent, number // ROTATION)
    event = gateway(sent, rng)
    status = 413 if len(sent.body) > MIB else 200 if sent.good else 401
    message = sent.message if status == 200 else None
    return Case(
        number, evidence, kind, event, status, sent.good, sent.shaped and status != 413, message, kind != "usable"
    )


def cases(seed: int, count: int) -> Iterator[Case]:
    """The requests of a run."""
    return (case(seed, number) for number in range(count))
