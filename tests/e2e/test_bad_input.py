"""Whatever is dropped in: it ends with a reason that a shop owner understands, costs nothing, and holds up no photo.

One stack, its permissions checked, which takes photos of up to 1 MB.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import httpx
import numpy as np
import pytest
from PIL import Image

from detag.domain.reasons import Reason
from local.processes import wait_until
from local.stack.stack import Options, running
from tests.e2e.harness import Harness, number_of, photo
from tests.e2e.test_authorised import Play, listen, log_of, secret
from tests.fuzz.requests import sign
from tests.shapes import SHAPES

PATIENCE: Final = 40.0

# One stack for the file, on one worker.
pytestmark = [pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Bad:
    """Something that can't become an output, and how it must end. `metadata` is its user metadata."""

    state: str
    reason: Reason
    body: bytes = photo(1)
    metadata: dict[str, str] = field(default_factory=dict)


def noise(kind: str, side: int) -> bytes:
    """An image that no compression makes small."""
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def drawn(kind: str, width: int, height: int) -> bytes:
    """An image with nothing on it."""
    file = BytesIO()
    Image.new("1", (width, height)).convert("L" if kind != "PNG" else "1").save(file, kind)
    return file.getvalue()


def halved(image: bytes) -> bytes:
    """As much of it as came before the connection broke."""
    return image[: len(image) // 2]


SHAPED: Final = {
    name: SHAPES[name]
    for name in (
        "JPEG cut behind long headers with a thumbnail",
        "JPEG of 4 billion pixels behind long headers",
        "JPEG that tells its height behind its scan",
        "multi-image JPEG, cut in its first image",
        "HEIC of ten bits",
        "Canon CR3",
        "BigTIFF",
        "animated PNG",
        "animated WebP",
        "JPEG with 128 KB of headers",
        "large JPEG with zeros behind its end",
        "JPEG with a film behind its end",
        "multi-image JPEG",
        "JPEG of four inks",
        "PNG of 16 bits",
    )
}
"""Shapes of real photographs, of each kind one or two."""
BAD: Final = {
    "price list.txt": Bad("skipped", Reason.NOT_AN_IMAGE, b"Mug 14.90\nTeapot 29.00\n"),
    "a page, saved as.jpg": Bad("skipped", Reason.NOT_AN_IMAGE, b"<!doctype html><img src=shoe.jpg>"),
    "empty.jpg": Bad("skipped", Reason.EMPTY, b""),
    "autumn/": Bad("skipped", Reason.NOT_A_PHOTO, b""),
    "animation.gif": Bad("skipped", Reason.UNSUPPORTED_TYPE, drawn("GIF", 40, 30)),
    "half a small.jpg": Bad("skipped", Reason.TRUNCATED, halved(photo(1))),
    "half a large.jpg": Bad("skipped", Reason.TRUNCATED, halved(noise("JPEG", 600))),
    "half a.png": Bad("skipped", Reason.TRUNCATED, halved(noise("PNG", 300))),
    "half a.webp": Bad("skipped", Reason.TRUNCATED, halved(noise("WEBP", 600))),
    "too large.png": Bad("skipped", Reason.TOO_LARGE, noise("PNG", 700)),
    "a poster.png": Bad("skipped", Reason.TOO_MANY_PIXELS, drawn("PNG", 20_000, 5_001)),
    **{f"{name}.bad": Bad("skipped", shape.reason, shape.data) for name, shape in SHAPED.items() if shape.reason},
    "ratio.jpg": Bad("failed", Reason.INVALID_ASPECT_RATIO, metadata={"aspect-ratio": "banana"}),
    "summer/../shoe.jpg": Bad("failed", Reason.UNUSABLE_NAME),
    "@eaDir/shoe.jpg/thumbnail.jpg": Bad("skipped", Reason.NOT_A_PHOTO, photo(5)),
    "deleted.jpg": Bad("superseded", Reason.DELETED),
    "version deleted.jpg": Bad("superseded", Reason.DELETED),
    "renamed.jpg": Bad("superseded", Reason.DELETED),
}

NAMES: Final = (
    "shoe.jpg",
    "shoe.png",
    "shoe",
    "SHOE.JPG",
    "winter//shoe.jpg",
    "/shoe.jpg",
    "//",
    " shoe .jpg ",
    "dots...",
    ".hidden",
    "...",
    "100%.jpg",
    "a%2Fb.jpg",
    "a+b&c=d;e,f@g:h$i!.jpg",
    "q?size=1#top.jpg",
    "back\\slash.jpg",
    "~(it's)*.jpg",
    '<a href="x">&amp;\'.jpg',
    "{a}|^`[b].jpg",
    "line\nbreak.jpg",
    "carriage\rreturn.jpg",
    "tab\tbell\x07escape\x1b[31m.jpg",
    "delete\x7f.jpg",
    "\u202egpj.eohs.jpg",
    "zero\u200bwidth.jpg",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "商品/靴 🏷️👟.jpg",
    "_failed/shoe.jpg",
    "long/" + "x" * 1_019,
    "é" * 512,
    "🏷" * 256,
)
"""Names that S3 takes. The last three are of 1,024 bytes."""


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    options = Options(
        folder=tmp_path_factory.mktemp("bad") / "local stack",
        auth=True,
        parameters={"MaxImageMegabytes": "1", "MaxImageMegapixels": "100", "IgnoredNames": "@eaDir,*.part"},
        runflow=("--pixels", "reencode"),
    )
    with running(options) as stack:
        api_key = secret(stack, "runflow_api_key_arn")["api_key"]
        (callback_secret,) = secret(stack, "callback_secrets_arn")["secrets"]
        with closing(Play(stack, Harness(stack), api_key, callback_secret, listen(stack))) as play:
            yield play


def jobs_by_key(play: Play) -> dict[str, dict[str, Any]]:
    """The jobs by key. Fails where a key has two."""
    jobs = play.harness.jobs()
    assert len({job["key"] for job in jobs}) == len(jobs)
    return {job["key"]: job for job in jobs}


def all_ended(play: Play, keys: set[str]) -> bool:
    """Whether each of these has a job, which is closed and has nothing pending."""
    jobs = jobs_by_key(play)
    return keys <= jobs.keys() and not any("due_at" in jobs[key] for key in keys)


def left_in_queues(play: Play) -> int:
    """Messages of any queue of the stack, the dead letters among them, seen or not."""
    kinds = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    urls = [url for name, url in play.stack.description.items() if name.endswith("queue_url")]
    asked = [play.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=kinds)["Attributes"] for url in urls]
    return sum(int(count) for answer in asked for count in answer.values())


def run_of(play: Play, key: str) -> dict[str, Any]:
    """What Runflow says of a photo's run."""
    url = f"{play.stack.description['runflow_url']}/v1/runs/{play.job(key)['run_id']}"
    run: dict[str, Any] = httpx.get(url, headers={"Authorization": f"Bearer {play.api_key}"}, trust_env=False).json()
    return run


@contextmanager
def forbidden(play: Play, prefix: str) -> Iterator[None]:
    """While the bucket's owner lets nobody read what begins so."""
    s3, bucket = play.harness.s3, play.stack.description["input_bucket"]
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    policy = json.loads(before)
    nobody = {"Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject", "s3:GetObjectVersion"]}
    policy["Statement"].append(nobody | {"Sid": "Private", "Resource": f"arn:aws:s3:::{bucket}/{prefix}*"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    yield
    s3.put_bucket_policy(Bucket=bucket, Policy=before)


def test_bad_input_ends_with_its_reason_and_holds_up_no_photo(play: Play) -> None:
    s3, bucket = play.harness.s3, play.stack.description["input_bucket"]
    gone = {key for key, bad in BAD.items() if bad.state == "superseded"}
    with play.override(paused="true"):
        versions = {key: play.put(key) for key in sorted(gone)}
        for key in versions:
            play.until(key, "waiting", "paused")
        s3.delete_object(Bucket=bucket, Key="deleted.jpg")
        s3.delete_object(Bucket=bucket, Key="version deleted.jpg", VersionId=versions["version deleted.jpg"])
        s3.copy_object(Bucket=bucket, Key="a new name.jpg", CopySource={"Bucket": bucket, "Key": "renamed.jpg"})
        s3.delete_object(Bucket=bucket, Key="renamed.jpg")
    for key, bad in BAD.items():
        if key not in gone:
            s3.put_object(Bucket=bucket, Key=key, Body=bad.body, Metadata=bad.metadata)
    play.reopened()

    good = {"a PNG.jpg": noise("PNG", 40), "of its own shape.jpg": photo(2), "after them all.jpg": photo(3)}
    good |= {name: shape.data for name, shape in SHAPED.items() if not shape.reason}
    play.harness.s3.put_object(Bucket=bucket, Key="by a web tool.jpg", Body=photo(4), ContentEncoding="gzip")
    for key, image in good.items():
        shape = {"aspect_ratio": "4:3"} if "shape" in key else {}
        play.put(key, image, **shape)
    good |= {"by a web tool.jpg": photo(4), "a new name.jpg": photo(1)}
    assert wait_until(lambda: all_ended(play, BAD.keys() | good.keys()), PATIENCE, pause=0.2), jobs_by_key(play)

    assert wait_until(lambda: not any("due_at" in job for job in jobs_by_key(play).values()), PATIENCE, pause=0.2)
    jobs, outputs = jobs_by_key(play), play.harness.outputs()
    assert {key: (jobs[key]["state"], jobs[key].get("reason")) for key in BAD} == {
        key: (bad.state, bad.reason) for key, bad in BAD.items()
    }
    assert {key: jobs[key]["state"] for key in good} == dict.fromkeys(good, "delivered")
    assert all(jobs[key]["detail"] for key in BAD), "what was found is on the item"

    failed = {key for key, bad in BAD.items() if bad.state == "failed"}
    meant = {key: bad for key, bad in BAD.items() if bad.reason is not Reason.NOT_A_PHOTO}
    expected = {f"_{bad.state}/{key}.txt": bad for key, bad in meant.items() if bad.state != "superseded"}
    records = {key: data.decode() for key, data in outputs.items() if key.startswith(("_failed/", "_skipped/"))}
    assert records.keys() == expected.keys()
    for key, text in records.items():
        reason = expected[key].reason
        assert text.startswith(f"{reason.means}\n\nWhat to do: {reason.do}\n\n")
    published = {(event["detail-type"], event["detail"]["key"], event["detail"]["reason"]) for event in play.events()}
    assert published == {(f"Photo {bad.state.title()}", key, bad.reason) for key, bad in meant.items()} | {
        ("Photo Delivered", key, None) for key in good
    }
    closed = play.harness.report()["closed_today"]
    skipped = sum(bad.state == "skipped" for bad in BAD.values())
    assert closed == {"skipped": skipped, "failed": len(failed), "superseded": len(gone), "delivered": len(good)}
    counted = re.findall(r'"Skipped":\[([^]]*)\]', log_of(play, "submit"))
    assert sum(float(number) for batch in counted for number in batch.split(",")) == closed["skipped"]

    assert outputs.keys() - records.keys() == {f"{key}.webp" for key in good}
    assert jobs["a PNG.jpg"]["content_type"] == "image/png", "known by its content"
    assert run_of(play, "of its own shape.jpg")["input"]["config"] == {"aspect_ratio": "4:3"}
    with Image.open(BytesIO(outputs["of its own shape.jpg.webp"])) as shaped:
        assert shaped.width * 3 == pytest.approx(shaped.height * 4, abs=4)
    assert number_of(outputs["after them all.jpg.webp"]) == 3
    assert number_of(outputs["by a web tool.jpg.webp"]) == 4, "though it was stored as compressed"
    assert play.harness.billing()["creates"] == len(good), "nothing else was sent to Runflow"
    assert left_in_queues(play) == 0


def test_a_photo_that_may_not_be_read_is_read_for_an_hour(play: Play) -> None:
    """What may not be read fails after an hour, with a record; what may be read meanwhile does not."""
    for key in ("private/shoe.jpg", "private for a while/shoe.jpg"):
        with forbidden(play, "private"):
            play.put(key)
            play.until(key, "waiting", "access_denied")
            if "while" not in key:
                play.later(key, 1_000.0, "failed", "no_permission")
    play.later("private for a while/shoe.jpg", 100.0, "delivered")
    assert play.harness.outputs()["_failed/private/shoe.jpg.txt"].decode().startswith(Reason.NO_PERMISSION.means)


def test_every_name_gets_its_own_output(play: Play) -> None:
    """Whatever a photo is called, its own output comes out under its own name."""
    runs = play.harness.billing()["runs"]
    numbers = {key: 100 + number for number, key in enumerate(NAMES)}
    assert {len(key.encode()) for key in NAMES[-3:]} == {1_024}
    for key, number in numbers.items():
        play.put(key, photo(number))

    usable = set(NAMES)  # also what ends in a slash, as a folder's marker does, and is a photo
    assert wait_until(lambda: all_ended(play, set(NAMES)), PATIENCE, pause=0.2), jobs_by_key(play)
    jobs, outputs = jobs_by_key(play), play.harness.outputs()
    assert {jobs[key]["state"] for key in usable} == {"delivered"}
    names = {key: name["S"] for key in usable for name in jobs[key]["outputs"]}
    assert len(set(names.values())) == len(usable), "no two photos meet"
    assert {key: number_of(outputs[name]) for key, name in names.items()} == {key: numbers[key] for key in usable}
    assert all(names[key] == f"{key}.webp" for key in usable if len(key.encode()) < 1_019)
    assert all(len(name.encode()) <= 1_024 for name in names.values())
    assert play.harness.billing()["runs"] - runs == len(usable)
    assert left_in_queues(play) == 0


def test_ten_events_of_one_upload_make_one_run(play: Play) -> None:
    """One upload whose event comes ten times at once, and a forged callback, make one run."""
    names, key, heard = play.stack.description, "ten times.jpg", events_of_uploads(play)
    runs = play.harness.billing()["runs"]
    with play.harness.faults({"on": "create_run", "do": "delay", "seconds": 2.0, "when": "after"}):
        play.put(key, photo(500))
        assert wait_until(lambda: heard(key) is not None, PATIENCE, pause=0.05)
        again = [{"Id": str(number), "MessageBody": heard(key)} for number in range(10)]
        play.sqs.send_message_batch(QueueUrl=names["upload_queue_url"], Entries=again)
        assert wait_until(lambda: "job_id" in play.job(key), PATIENCE, pause=0.1)
        job_id = play.job(key)["job_id"]
        body = json.dumps({"id": "forged", "status": "failed", "metadata": {"app": "detag", "job_id": job_id}}).encode()
        trust = ssl.create_default_context(cafile=play.stack.env["AWS_CA_BUNDLE"])
        for evidence in ({}, {"Runflow-Signature": sign("whsec_forged", body)}):
            answer = httpx.post(names["callback_url"], content=body, headers=evidence, verify=trust, trust_env=False)
            assert answer.status_code == 401
        play.ends(key, "delivered")

    assert wait_until(lambda: left_in_queues(play) == 0, PATIENCE, pause=0.2)
    assert play.harness.billing()["runs"] - runs == 1
    assert number_of(play.harness.outputs()[f"{key}.webp"]) == 500
    assert "forged" not in log_of(play, "deliver")


def events_of_uploads(play: Play) -> Any:
    """From now on: the event of an upload as JSON, by its key; None before it has come."""
    url = play.sqs.create_queue(QueueName="uploads")["QueueUrl"]
    arn = play.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    play.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    with closing(play.stack.client("events")) as events:
        events.put_rule(Name="uploads", EventPattern=json.dumps({"source": ["aws.s3"]}))
        events.put_targets(Rule="uploads", Targets=[{"Id": "uploads", "Arn": arn}])
    seen: dict[str, str] = {}

    def heard(key: str) -> str | None:
        for message in play.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            seen[json.loads(message["Body"])["detail"]["object"]["key"]] = message["Body"]
        return seen.get(key)

    return heard
