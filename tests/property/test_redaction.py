"""Somebody else's words keep no secret, in whatever form it comes, and lose no ordinary word."""

from __future__ import annotations

import string
import time
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detag.domain.redaction import redacted

HEX: Final = "3f9c2a7be1d04856" * 4
BASE64: Final = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3Qx+/7Zk1Vg="
AWS_SECRET: Final = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST: Final = "shop.s3.eu-central-1.amazonaws.com/a%20shoe.jpg"

FORMS: Final[dict[str, tuple[str, str]]] = {
    "a key": ("key rf_live_4bV9xQ is unknown", "4bV9xQ"),
    "a key with hyphens": ("key rf_live_4bV9-xQ2m-77 is unknown", "xQ2m"),
    "a key with points": ("key rf_live_4bV9.xQ2m~77 is unknown", "xQ2m"),
    "a key written with hyphens": ("key rf-live-4bV9xQ is unknown", "4bV9xQ"),
    "a key in a pair": ("('x-api-key', '4bV9xQ7mmm')", "4bV9xQ"),
    "a key behind an arrow": ("x-api-key -> 4bV9xQ7mmm", "4bV9xQ"),
    "a key of Ruby": (':api_key=>"4bV9xQ7mmm"', "4bV9xQ"),
    "a key in XML": ("<ApiKey>4bV9xQ7mmm</ApiKey>", "4bV9xQ"),
    "a key in quotation marks": ("API key '4bV9xQ7mZk2LpRt8' is unknown", "4bV9xQ"),
    "a private key": (f"-----BEGIN RSA PRIVATE {'KEY'}-----\nMIIEpAIBAAKCAQEA4bV9xQ\n-----END RSA", "4bV9xQ"),
    "base64 with many signs": ("made with MfKQ9r8/KYqr+wjU/D8I+PZI/2LaLaSw/Qx+/7Zk1Vg=", "2LaLaSw"),
    "base64 in JSON": (r"made with MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3Qx+\/7Zk1Vg=", "2LaLaSw"),
    "percent-encoded base64": ("made with MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3Qx%2B%2F7Zk1Vg%3D", "2LaLaSw"),
    "a key in an address": ("at a_rf_live_4bV9xQ", "4bV9xQ"),
    "a percent-encoded key": ("at rf%5Flive%5F4bV9xQ", "4bV9xQ"),
    "a key escaped for Markdown": (r"at rf\_live\_4bV9xQ", "4bV9xQ"),
    "a key escaped for HTML": ("at rf&#95;live&#95;4bV9xQ", "4bV9xQ"),
    "a key escaped for JSON": (r"at rf\u005flive\u005f4bV9xQ", "4bV9xQ"),
    "a token in camel case": ('{"accessToken": "4bV9xQ"}', "4bV9xQ"),
    "a secret in camel case": ("webhookSecret=4bV9xQ", "4bV9xQ"),
    "a password in camel case": ("dbPassword=hunter", "hunter"),
    "a key in camel case": ('myApiKey: "abcdef"', "abcdef"),
    "a callback secret": ("signed with whsec_4bV9xQ", "4bV9xQ"),
    "a base64 callback secret": (f"signed with whsec_{BASE64}", "/7Zk1Vg"),
    "a bare base64 secret": (f"signed with {BASE64}", "/7Zk1Vg"),
    "a bare digest": (f"expected {HEX}", HEX[:8]),
    "a header's digest": (f"Runflow-Signature: {HEX}", HEX[:8]),
    "an AWS key's id": ("by AKIA4BV9XQ2M77ZKLP3T", "4BV9XQ"),  # pragma: allowlist secret
    "a session's key id": ("by ASIA4BV9XQ2M77ZKLP3T", "4BV9XQ"),  # pragma: allowlist secret
    "an AWS secret": (f"with {AWS_SECRET}", "K7MDENG"),
    "a JSON web token": ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.4bV9-xQ", "4bV9-xQ"),  # pragma: allowlist secret
    "a presigned URL": (f"cannot read https://{HOST}?X-Amz-Signature={HEX}", HEX[:8]),
    "one without a scheme": (f"cannot read {HOST}?X-Amz-Signature={HEX}", "shop.s3"),
    "one with slashes only": (f"cannot read //{HOST}?Signature=4bV9%2B&Expires=1", "4bV9"),
    "one signed the old way": (f"cannot read {HOST}?AWSAccessKeyId=AKIA&Signature=4bV9%2B&Expires=1", "4bV9"),
    "one of Google's": ("cannot read storage/b/k?X-Goog-Signature=4bV9xQ", "4bV9xQ"),
    "one of Azure's": ("cannot read acct.blob/k?sv=2024&sig=4bV9%2BxQ%3D", "4bV9"),
    "an encoded one": (f"cannot read https%3A%2F%2F{HOST}%3FX-Amz-Signature%3D{HEX}", HEX[:8]),
    "one encoded twice": (f"cannot read https%253A%252F%252F{HOST}%253FX-Amz-Signature%253D{HEX}", HEX[:8]),
    "an encoded one without a scheme": (f"cannot read {HOST}%3FX-Amz-Signature%3D4bV9xQ", "4bV9xQ"),
    "one in JSON": (f'{{"input": "https:\\/\\/{HOST}?a=1\\u0026X-Amz-Signature=4bV9xQ"}}', "4bV9xQ"),
    "one with an escaped colon": (f"at https\\u003a//{HOST}", "shop.s3"),
    "one in quotes": (f"cannot read '{HOST}?Signature=4bV9xQ'", "4bV9xQ"),
    "a parameter on its own": ("X-Amz-Security-Token=FwoG4bV9xQ", "4bV9xQ"),
    "a parameter as a field": ('"X-Amz-Signature": "4bV9xQ"', "4bV9xQ"),
    "a parameter as a header": ("x-amz-signature: 4bV9xQ", "4bV9xQ"),
    "a parameter with underscores": ("x_amz_signature=4bVxQ", "4bVxQ"),
    "a parameter as a header, without digits": ("X-Amz-Signature: deadbeef", "deadbeef"),
    "a key of three parts": ("key rf_live.abc.def", "abc.def"),
    "a field of a pwd": ("pwd=hunter", "hunter"),
    "a field of a key": ('{"api_key": "hunter"}', "hunter"),
    "a field of a password": ("password=hunter", "hunter"),
    "a bearer": ("Authorization: Bearer 4bV9.xQ", "4bV9"),
    "a bearer on its own": ("Bearer 4bV9.xQ", "4bV9"),
    "an encoded bearer": ("bearer%204bV9.xQ", "4bV9"),
    "a bearer as a field": ('"bearer": "4bV9.xQ"', "4bV9"),
    "basic credentials": ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "a user and a password": ("at joe:hunter@db.example.com", "hunter"),
    "a token of any scheme": ("Authorization: Token 4bV9xQ", "4bV9xQ"),
    "a token of no known scheme": ("Authorization: Frobnicate 4bV9xQ7m", "4bV9xQ7m"),
    "a proxy's credentials": ("Proxy-Authorization: Negotiate YIIZ4bV9xQ==", "4bV9xQ"),
    "a digest's parameters": ('Authorization: Digest username="joe", response="4bV9xQ"', "4bV9xQ"),
    "AWS's own header": (
        "Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=4bV9xQ",
        "4bV9xQ",
    ),
    "credentials behind an arrow": ("authorization => 4bV9xQ", "4bV9xQ"),
    "a token on its own": ("Token 4bV9xQ7mZk2LpRt8", "4bV9xQ"),
    "a negotiation on its own": ("Negotiate YIIZ4bV9xQ7mZk2LpRt8==", "4bV9xQ"),
    "basic credentials on their own": ("Basic dXNlcjpwYXNzd29yZDEyMzQ=", "dXNlcjpw"),
    "a password in a sentence": ("the password is 4bV9xQ7mZk2LpRt8.", "4bV9xQ"),
    "an API key in a sentence": ("API key 4bV9xQ7mZk2LpRt8 is unknown", "4bV9xQ"),
    "an API key with a blank in its name": ("api key: 4bV9xQ", "4bV9xQ"),
    "an API key with a point in its name": ("api.key=4bV9xQ", "4bV9xQ"),
    "a key on the next line": ("api_key:\n  4bV9xQ", "4bV9xQ"),
    "a key in a block of its own": ("api_key: |-\n  4bV9xQ", "4bV9xQ"),
    "a key below its name": ("Authorization\n\tBearer\n\t4bV9xQ", "4bV9xQ"),
    "a bearer on the next line": ("authorization:\r\n  Bearer 4bV9xQ", "4bV9xQ"),
    "a header's second cookie": ("Set-Cookie: a=b; sid=4bV9xQ", "4bV9xQ"),
    "a cookie behind a date": ("Set-Cookie: a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; sid=4bV9xQ", "4bV9xQ"),
    "a cookie in quotes": ('Cookie: a="b c"; sid="4bV9xQ"', "4bV9xQ"),
    "a key in wide letters": ("key \uff52f_live_4bV9xQ", "4bV9xQ"),
    "a cookie": ("Set-Cookie: sid=4bV9xQ", "4bV9xQ"),
    "an address of another scheme": ("at s3://shop/a.jpg", "shop"),
    "an image in an address": ("data:image/png;base64,iVBOR4bV9xQ", "4bV9xQ"),
    "text split by NUL": ("key rf_\0live_4bV9\0xQ", "xQ"),
    "text split by an escape character": ("key rf_live\x1b_4bV9xQ", "4bV9xQ"),
    "text split by zero width": ("key whs\u200bec_4bV9xQ", "4bV9xQ"),
    "a URL split by NUL": (f"at ht\0tps://{HOST}?a", "shop.s3"),
    "a signature split by NUL": (f"at {HOST}?X-Amz-\0Signature=4bV9xQ", "4bV9xQ"),
}

ORDINARY: Final = (
    "The input image could not be decoded: unexpected end of data.",
    "INPUT_VALIDATION_FAILED: image_url must be an image, at most 20 MB (got 4096x4096).",
    "Run 0198c0de-7a11-7000-8000-0123456789ab of job 0123456789abcdef0123456789abcdef timed out after 300 s.",
    "Runflow: no capacity. Try again at 10:30 (UTC+02:00); 3/5 workers busy?",
    "invalid token: expected a string, not null; body.metadata.key: field required",
    "The signature is missing. Signature: missing. secret: none. password: required",
    "image/jpeg is not image/webp; see summer-2024/shoes/black-leather-boot_left.jpg",
    "a_very_long_identifier_of_a_stage_that_nobody_would_call_a_secret_at_all",
    "Authorization is required; the bearer of this must be a member, basic plans cannot",
    "ratio=16:9, seed=42, steps=30, sort_by=created_at:desc&limit=50",
    "user@example.com has no access",
    "invalid token at line 12; token 0198c0de-7a11-7000-8000-0123456789ab has no run",
    "token summer-2024/shoes/black-leather-boot_left-12.jpg is no photo; the key is photos/IMG_20240102_123456.jpg",
    "basic settings 4096x4096; the secret of IMG_20240102_123456.heic; Negotiate prices later",
    "cookie: none; key: 2024/shoe.jpg",
    "request 3f9c2a7be1d04856a1b2c3d4e5f60718 of IMG_20240102_123456.jpg",
    "Surf_live_show is not a model. AKIA is not a region. eyJ is nothing.",
)


@pytest.mark.parametrize(("text", "secret"), FORMS.values(), ids=FORMS)
def test_a_secret_is_left_out_in_every_form(text: str, secret: str) -> None:
    assert secret in "".join(character for character in text if character.isprintable()), "there is something to find"
    for around in ("{}", "it said: {}", "({})", "'{}'", '{{"message": "{}"}}', "first\nline\n{}\nlast line"):
        safe = redacted(around.format(text))
        assert secret not in safe.replace(" ", "")
        assert "<left out>" in safe


def test_there_are_enough_forms() -> None:
    assert len(FORMS) >= 24


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_stay(text: str) -> None:
    assert redacted(text) == text


words = st.text(string.ascii_letters, min_size=1, max_size=14)
plain = st.lists(
    st.one_of(
        words,
        words.map(lambda word: f"{word},"),
        words.map(lambda word: f"({word})"),
        st.tuples(words, words).map("-".join),
        st.tuples(words, words).map("_".join),
        st.tuples(words, words).map("/".join),
        st.tuples(words, words).map("'s ".join),
        st.integers(0, 10**12).map(str),
        st.decimals(0, 10**6, places=2).map(str),
        st.uuids().map(str),
        st.tuples(st.integers(1, 9999), st.integers(1, 9999)).map(lambda size: f"{size[0]}x{size[1]}"),
    ),
    max_size=24,
).map(" ".join)


def test_what_is_said_behind_a_header_without_credentials_stays() -> None:
    text = "authorization: denied IMG_20240102_123456.jpg of 0198c0de-7a11-7000-8000-0123456789ab"
    assert redacted(text) == text.replace("denied", "<left out>")


@given(text=plain)
def test_plain_text_is_kept_as_it_is(text: str) -> None:
    assert redacted(text, 10_000) == text


token = st.text(string.ascii_letters + string.digits + "-_.~+/", min_size=12, max_size=80).map(lambda text: f"k7{text}")
MAKERS: Final[tuple[Callable[[str], str], ...]] = (
    "rf_live_{}".format,
    "whsec_{}=".format,
    "Authorization: Bearer {}".format,
    "https://shop.s3.amazonaws.com/a.jpg?X-Amz-Signature={}".format,
    "shop.s3.amazonaws.com/a.jpg?Expires=1&Signature={}".format,
    "shop.s3.amazonaws.com%2Fa.jpg%3FX-Amz-Signature%3D{}".format,
    '"plain_secret": "{}"'.format,
    "X-Amz-Security-Token: {}".format,
)
UNSEEN: Final = "\0\x01\x08\x1b\x1c\x7f\x9b\xad\u200b\u200d\u2060\ufeff\u202e\ud800\ue000"


@given(core=token, make=st.sampled_from(MAKERS), before=plain, after=plain, data=st.data())
def test_no_secret_is_kept_whatever_is_put_within_it(
    core: str, make: Callable[[str], str], before: str, after: str, data: st.DataObject
) -> None:
    secret = make(core)
    places = data.draw(st.lists(st.integers(0, len(secret)), max_size=6))
    for place in sorted(places, reverse=True):
        secret = secret[:place] + data.draw(st.sampled_from(UNSEEN)) + secret[place:]
    safe = redacted(f"{before} {secret} {after}", 10_000)
    assert core not in safe.replace(" ", "")
    assert safe.isprintable()
    assert "<left out>" in safe


WAYS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "without padding": lambda secret: secret.rstrip("="),
    "JSON": lambda secret: secret.replace("/", r"\/"),
    "percent-encoded": partial(quote, safe=""),
    "for URLs": lambda secret: secret.replace("+", "-").replace("/", "_"),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_random_bytes_are_left_out_in_base64(write: Callable[[str], str]) -> None:
    """Two thousand secrets of 32 bytes, whatever signs are in them; of 100,000, five look like names."""
    random = Random(7)
    for _ in range(2_000):
        secret = write(b64encode(random.randbytes(32)).decode())
        assert redacted(f"made with {secret} again") == "made with <left out> again"


PATHS = (
    "Kleider/Sommer-2024/Rot_12/Links-Vorne/IMG_0001",
    "2024/11/28/IMG_0001/crop_2/final-Version_3",
    "Kleider%2FSommer-2024%2FRot_12%2FLinks-Vorne%2FIMG_0001",
    r"Kleider\/Sommer-2024\/Rot_12\/Links-Vorne\/IMG_0001",
    "shop/photos/2024-11-28/SKU-12345-RED-XL/DSC01234",
    "Autumn-Winter_Collection-Sandals-and-Boots-for-Children",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_long_path_stays(path: str) -> None:
    assert redacted(f"{path} is no photo") == f"{path} is no photo"


@given(secret=st.binary(min_size=32, max_size=64), before=plain)
def test_random_bytes_are_left_out_in_hex(secret: bytes, before: str) -> None:
    assert secret.hex() not in redacted(f"{before} {secret.hex()}", 10_000)


@given(text=st.text(st.characters(), max_size=2_000), most=st.integers(20, 300))
def test_any_text_is_printable_and_short_afterwards(text: str, most: int) -> None:
    safe = redacted(text, most)
    assert len(safe) <= most
    assert safe.isprintable()
    assert redacted(safe, most) == safe, "there is nothing more to leave out"


@given(padding=st.integers(0, 40))
def test_a_secret_where_a_long_text_is_cut_is_not_half_shown(padding: int) -> None:
    """What is left out makes the text shorter, so that its far parts come into view."""
    urls = " ".join(["https://shop.s3.amazonaws.com/" + "a" * 170] * 20)
    text = f"{urls[: 4_000 - 60 - padding]} with {AWS_SECRET * 2} at the end of it"
    safe = redacted(text)
    assert AWS_SECRET[:12] not in safe


SLOW: Final = tuple(
    part * (5_000_000 // len(part))
    for part in (
        "token=",
        "cookie: a=",
        "authorization: ",
        "Token a1",
        'authorization: digest a="',
        "key " * 3,
        "a=b, ",
        "%2F",
        r"\/",
        "-----BEGIN KEY-----",
    )
)


def test_twice_the_text_takes_about_twice_the_time() -> None:
    """Nothing is gone through once more for each place in it: so long a text is never judged at once otherwise."""
    for part in (
        "token=",
        "cookie: a=",
        "authorization: ",
        "authorization: a ",
        "Token a1 ",
        "authorization=a b=",
        "a=",
    ):
        took = []
        for length in (20_000, 80_000):
            began = time.process_time()
            redacted(part * (length // len(part)), length)
            took.append(time.process_time() - began)
        assert took[1] < 0.1 + 8 * took[0], part


def test_a_long_text_is_judged_at_once() -> None:
    for text in ("a" * 5_000_000, "?" * 5_000_000, "a:" * 2_000_000, "https%" * 800_000, "eyJ" * 1_000_000, *SLOW):
        began = time.process_time()
        redacted(text)
        assert time.process_time() - began < 0.5
