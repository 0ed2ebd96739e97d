"""Runflow's words under every reading of its contract."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from detag.domain.redaction import redacted
from detag.domain.runs import (
    MAX_OUTPUT_URLS,
    MAX_OUTPUT_URLS_BYTES,
    Callback,
    RunStatus,
    create_body,
    failure_of,
    is_other_place,
    output_urls_of,
    read_callback,
    read_result,
    read_run,
    result_message,
    run_id_of,
    same_place,
    status_of,
)

EXAMPLES = json.loads((Path(__file__).parents[2] / "data/runflow/examples.json").read_text(encoding="utf-8"))
RUN_ID = "0198c0de-7a11-7000-8000-0123456789ab"
JOB_ID = "0123456789abcdef0123456789abcdef"
NOW = 1_795_431_600.5
OURS = {"app": "detag", "v": "1", "job_id": JOB_ID, "client_ref": f"{JOB_ID}.1"}
A, B, C = (f"https://outputs.example/{name}.webp?X-Amz-Signature=0" for name in "abc")


def callback(**fields: Any) -> Callback | str:
    envelope = {"event": "run.completed", "run_id": RUN_ID, "status": "succeeded", "output": None, "metadata": OURS}
    return read_callback(json.dumps(envelope | fields).encode())


def read(**fields: Any) -> Callback:
    found = callback(**fields)
    assert isinstance(found, Callback), found
    return found


# Every body of the examples

CALLBACKS = {example["name"]: example["body"] for example in EXAMPLES["callbacks"]}
READ_AS: dict[str, tuple[RunStatus, int]] = {
    "success_image_urls": (RunStatus.SUCCEEDED, 1),
    "success_outputs": (RunStatus.SUCCEEDED, 1),
    "failed_output_null": (RunStatus.FAILED, 0),
    "failed_output_envelope_flat": (RunStatus.FAILED, 0),
    "failed_output_envelope_nested": (RunStatus.FAILED, 0),
    "cancelled_uk": (RunStatus.CANCELLED, 0),
    "cancelled_us": (RunStatus.CANCELLED, 0),
    "partial": (RunStatus.PARTIAL, 1),
}


def test_no_example_is_left_out() -> None:
    assert set(CALLBACKS) == {*READ_AS, "batch"}


@pytest.mark.parametrize("name", READ_AS)
def test_every_callback_of_the_examples_is_read_when_it_is_ours(name: str) -> None:
    body = CALLBACKS[name] | {"run_id": RUN_ID, "metadata": OURS}
    found = read_callback(json.dumps(body).encode())
    assert isinstance(found, Callback)
    assert (found.job_id, found.run_id, found.event) == (JOB_ID, RUN_ID, body["event"])
    assert (found.status, len(found.output_urls)) == READ_AS[name]


@pytest.mark.parametrize("name", READ_AS)
def test_every_callback_of_the_examples_as_it_stands_is_not_ours(name: str) -> None:
    expected = "no_run_id" if name == "success_image_urls" else "not_ours"  # that page's run id is a placeholder
    assert read_callback(json.dumps(CALLBACKS[name]).encode()) == expected


def test_a_batch_is_told_from_a_run() -> None:
    assert read_callback(json.dumps(CALLBACKS["batch"]).encode()) == "batch"
    assert callback(batch_id="b") == callback(event="batch.succeeded") == "batch"
    assert callback(batch_id=None) != "batch"


OUTPUTS = [
    ("https://...",),
    ("https://<runflow-storage-bucket>.s3.dualstack.eu-central-1.amazonaws.com/outputs/.../result.webp?X-Amz-...",),
    ("https://cdn/x.png",),
    ("https://...",),
]


@pytest.mark.parametrize(("example", "urls"), list(zip(EXAMPLES["run_output_success"], OUTPUTS, strict=True)))
def test_every_output_of_the_examples_gives_its_url(example: dict[str, Any], urls: tuple[str, ...]) -> None:
    assert output_urls_of(example["output"]) == urls
    run = read_run({"id": RUN_ID, "status_code": "succeeded", "output": example["output"]})
    assert run is not None
    assert run.output_urls == urls


@pytest.mark.parametrize("example", EXAMPLES["create_run_responses"])
def test_the_record_of_the_reference_is_read(example: dict[str, Any]) -> None:
    run = read_run(example["body"])
    assert run is not None
    assert (run.run_id, run.status, run.output_urls, run.cost) == (RUN_ID, RunStatus.RUNNING, (), None)
    assert (run.client_ref, run.job_id, run.image_url) == ("<string>", None, None)
    assert run.created_at == 1699335116


@pytest.mark.parametrize("example", EXAMPLES["failed_run_record"])
def test_a_failed_record_is_read_under_both_names_of_its_fields(example: dict[str, Any]) -> None:
    run = read_run(example["body"] | {"id": RUN_ID})
    assert run is not None
    assert (run.status, run.failure_code) == (RunStatus.FAILED, "INPUT_VALIDATION_FAILED")
    assert run.failure_message == "image dimensions exceed 4096x4096"
    assert not run.charged


@pytest.mark.parametrize("example", EXAMPLES["error_bodies"])
def test_every_error_body_has_a_code_or_a_message(example: dict[str, Any]) -> None:
    code, message = failure_of(example["body"])
    assert code or message


@pytest.mark.parametrize("example", EXAMPLES["create_run_requests"][:1] + EXAMPLES["create_run_requests"][2:])
def test_a_request_has_exactly_the_fields_of_the_examples(example: dict[str, Any]) -> None:
    """A request of ours has the fields of the examples and no others."""
    body = json.loads(ours(ratio="4:3"))
    assert set(example["body"]) <= set(body)
    assert set(example["body"]["input"]) <= {"image_url", "config"} == set(body["input"])


# Contract 13.1: canceled, cancelled


@pytest.mark.parametrize("word", ["canceled", "cancelled", "Cancelled", "CANCELED"])
def test_both_spellings_of_cancelled_are_one(word: str) -> None:
    assert status_of(word) is RunStatus.CANCELLED
    assert read(event=f"run.{word.lower()}", status="x").status is RunStatus.CANCELLED
    assert read(event="x", status=word).status is RunStatus.CANCELLED


@pytest.mark.parametrize(
    ("event", "status", "meant"),
    [
        ("run.failed", "succeeded", RunStatus.FAILED),
        ("run.completed", "failed", RunStatus.SUCCEEDED),
        ("run.cancelled", "failed", RunStatus.CANCELLED),
        ("run.partial_succeeded", "succeeded", RunStatus.PARTIAL),
    ],
)
def test_the_event_decides_before_the_status(event: str, status: str, meant: RunStatus) -> None:
    assert read(event=event, status=status).status is meant


# Contract 13.2: partial_succeeded


def test_a_partial_success_has_ended_and_keeps_its_output_urls() -> None:
    found = read(event="run.partial_succeeded", output={"image_urls": [A]})
    assert (found.status, found.output_urls, found.status.terminal) == (RunStatus.PARTIAL, (A,), True)


# Contract 13.3: the shape of the output


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ({"outputs": [{"url": A}]}, (A,)),
        ({"outputs": [{"url": A, "type": "image"}, {"url": B, "type": "video"}, {"url": C, "type": None}]}, (A, C)),
        (
            {"outputs": [{"url": A, "type": "image/webp"}, {"url": B, "type": "file"}, {"url": C, "type": "Image"}]},
            (A, C),
        ),
        ({"outputs": [{"url": A, "type": "file"}, {"url": B, "type": ""}]}, (A, B)),
        ({"outputs": [A, {"image_url": B}]}, (A, B)),
        ({"image_urls": [A, B]}, (A, B)),
        ({"image_urls": [{"url": A}, {"image_url": B, "type": "image"}, {"url": C, "type": "audio"}]}, (A, B)),
        ({"image": {"url": A}}, (A,)),
        ({"image": A}, (A,)),
        ({"url": A}, (A,)),
        ({"output_url": A}, (A,)),
        ({"output_url": "a", "url": "b", "image": "c"}, ()),
        ({"outputs": [{"url": A}], "image_urls": [B, A], "image": {"url": C}, "url": A, "output_url": B}, (A, B, C)),
        ({"output_url": C, "url": B, "image": A}, (A, B, C)),
        ({"outputs": None, "image_urls": "x", "image": [], "url": 7}, ()),
        ({"outputs": {"url": A}}, ()),
        ({"outputs": [None, 7, [], {}, {"url": None}, {"url": ""}, {"url": 7}, {"url": {"url": A}}]}, ()),
        (
            {
                "image_urls": [
                    "ftp://x/a",
                    "data:image/png;base64,AA",
                    "runflow://assets/1",
                    "javascript:x",
                    "//x/a",
                    "",
                ]
            },
            (),
        ),
        ({"image_urls": ["http://127.0.0.1:8099/outputs/a"]}, ("http://127.0.0.1:8099/outputs/a",)),
        ({"image_urls": ["https://[::1/broken"]}, ()),
        ({}, ()),
        (None, ()),
        ([A], ()),
        (A, (A,)),
        ("words", ()),
        ({"image_url": A}, (A,)),
        ({"image": [A, B]}, (A, B)),
        ({"image": [{"url": A}, {"url": B, "type": "mask"}]}, (A,)),
        ({"images": [A, {"url": B}]}, (A, B)),
        ({"images": {"url": A}, "image_url": [B]}, (B,)),
    ],
)
def test_urls_are_found_in_every_shape_in_the_official_order(output: object, urls: tuple[str, ...]) -> None:
    assert output_urls_of(output) == urls
    assert read(output=output).output_urls == urls


def test_the_main_output_is_the_one_that_is_called_result() -> None:
    steps = [f"https://x/{name}.webp" for name in ("step_1", "result_7", "step_result_2", "result_8")]
    assert output_urls_of({"image_urls": steps}) == (steps[1], steps[0], steps[2], steps[3])
    assert output_urls_of({"image_urls": [A, "https://x/a?name=/result_1.webp"]})[0] == A


# Contract 13.4: the output of a failure


@pytest.mark.parametrize("output", [None, {"code": "X"}, {"error": {"code": "X"}}, {"image_urls": [A]}, "x", 7, [A]])
@pytest.mark.parametrize("event", ["run.failed", "run.cancelled"])
def test_no_url_is_taken_from_a_failure(event: str, output: object) -> None:
    assert read(event=event, output=output).output_urls == ()


# Contract 13.5: events


@pytest.mark.parametrize(
    "event", [None, "", "run.archived", "something", 7, ["run.completed"], {"a": 1}, "run.", "RUN.X"]
)
def test_an_unknown_event_goes_by_its_status(event: object) -> None:
    assert read(event=event, status="succeeded").status is RunStatus.SUCCEEDED
    assert callback(event=event, status="archived") == "unknown_event"
    assert callback(event=event, status=None) == "unknown_event"


def test_a_run_that_has_not_ended_is_told_as_it_is() -> None:
    assert read(event="run.started", status="running").status is RunStatus.RUNNING


# Contract 13.4, 13.6 and 13.7: what failed


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        ({"code": "X", "message": "m", "errors": None}, "X", "m"),
        ({"error": {"code": "X", "message": "m"}}, "X", "m"),
        ({"error": "m"}, None, "m"),
        ({"detail": "m"}, None, "m"),
        ({"detail": [{"msg": "Field required"}]}, None, '[{"msg": "Field required"}]'),
        ({"failure_code": "X", "failure_message": "m", "code": "Y", "message": "n"}, "X", "m"),
        ({"failure_code": "", "failure_message": None, "error": {"code": "X"}, "message": "m"}, "X", "m"),
        ({"failure_reason": "m"}, None, "m"),
        ({"code": 7, "message": ["m"], "error": [], "detail": None}, None, None),
        ({}, None, None),
    ],
)
def test_what_failed_is_found_in_every_shape(record: dict[str, Any], code: str | None, message: str | None) -> None:
    assert failure_of(record) == (code, message)


@pytest.mark.parametrize("status", ["failed", "errored", "timeout"])
def test_every_word_for_failure_is_one(status: str) -> None:
    for name in ("status_code", "status"):
        run = read_run({"id": RUN_ID, name: status})
        assert run is not None
        assert run.status is RunStatus.FAILED


@pytest.mark.parametrize("word", ["queued", "dispatching", "running"])
def test_a_run_that_goes_on_has_not_ended(word: str) -> None:
    assert not status_of(word).terminal


@pytest.mark.parametrize("word", [None, "", "archived", 7, ["failed"], {"a": 1}])
def test_an_unknown_status_has_not_ended(word: object) -> None:
    assert (status_of(word), status_of(word).terminal) == (RunStatus.UNKNOWN, False)


# Contract 13.20 to 13.24 and contract section 11


@pytest.mark.parametrize(
    "text",
    ["2026-05-06T10:00:00Z", "2026-05-06T10:00:00.000+00:00", "2026-05-06T12:00:00+02:00"],
)
def test_a_time_is_read_however_it_is_written(text: str) -> None:
    run = read_run({"id": RUN_ID, "created_at": text})
    assert run is not None
    assert run.created_at == 1778061600.0


@pytest.mark.parametrize("value", [None, "", "yesterday", 7, "2026-13-45T99:00:00Z", [], "2026-05-06T10:00:00"])
def test_a_time_that_is_none_is_left_out(value: object) -> None:
    """Nor does one tell anything that does not say where it is the time."""
    run = read_run({"id": RUN_ID, "created_at": value})
    assert run is not None
    assert run.created_at is None


@pytest.mark.parametrize(
    ("cost", "read"),
    [
        ("1E-999999", None),
        ("-5", None),
        (-0.14, None),
        ("1E-40", None),
        ("1E+13", None),
        ("1E-12", Decimal("1E-12")),
        ("0.14", Decimal("0.14")),
        ("0", Decimal(0)),
        (0.14, Decimal("0.14")),
        (1, Decimal(1)),
        (None, None),
        ("<string>", None),
        ("", None),
        (True, None),
        ("NaN", None),
        ("Infinity", None),
        ({}, None),
        ([0.14], None),
    ],
)
def test_a_cost_is_an_amount_or_unknown(cost: object, read: Decimal | None) -> None:
    run = read_run({"id": RUN_ID, "status_code": "failed", "cost": cost})
    assert run is not None
    assert run.cost == read
    assert run.charged == bool(read)


@pytest.mark.parametrize("status", ["succeeded", "partial_succeeded", "canceled"])
@pytest.mark.parametrize("cost", [None, "0", "0.14"])
def test_what_may_have_been_charged_counts_as_charged(status: str, cost: str | None) -> None:
    run = read_run({"id": RUN_ID, "status_code": status, "cost": cost})
    assert run is not None
    assert run.charged


def test_the_client_ref_is_in_either_place() -> None:
    for record in (
        {"client_ref": "a.1"},
        {"metadata": {"client_ref": "a.1"}},
        {"client_ref": "", "metadata": {"client_ref": "a.1"}},
    ):
        run = read_run({"id": RUN_ID, **record})
        assert run is not None
        assert run.client_ref == "a.1"


@pytest.mark.parametrize(
    "record", [None, [], "x", 7, {}, {"id": None}, {"id": 7}, {"id": "a/b"}, {"id": "x" * 65}, {"run_id": ""}]
)
def test_a_record_without_a_usable_id_is_none(record: object) -> None:
    assert read_run(record) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"output": 7, "cost": {}, "metadata": 7, "input": 7, "error": 7, "status_code": 7, "created_at": {}},
        {"output": [], "metadata": [], "input": [], "client_ref": [], "detail": {"a": 1}},
        {"metadata": {"job_id": ["a"], "client_ref": {}}, "input": {"image_url": 7}},
        {"metadata": None, "input": None, "output": None, "status_code": None},
    ],
)
def test_a_field_of_another_type_is_as_good_as_none(fields: dict[str, Any]) -> None:
    run = read_run({"id": RUN_ID, **fields})
    assert run is not None
    assert (run.status, run.output_urls, run.cost, run.job_id, run.image_url) == (
        RunStatus.UNKNOWN,
        (),
        None,
        None,
        None,
    )


@pytest.mark.parametrize("value", ["a", "0198c0de-7a11", "A_b-9", "x" * 64])
def test_a_plain_run_id_is_taken(value: str) -> None:
    assert run_id_of(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a/b", "..", "ä", "a\n", "x" * 65, "01J0...", 7, None, [], b"a"])
def test_no_other_run_id_is(value: object) -> None:
    assert run_id_of(value) is None


# What is nothing of ours


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"null", "not_an_object"),
        (b"[]", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"7", "not_an_object"),
        (b"NaN", "not_an_object"),
        (b"{}", "no_run_id"),
    ],
)
def test_a_body_that_is_none_is_told_by_a_word(body: bytes, why: str) -> None:
    assert read_callback(body) == why


@pytest.mark.parametrize("run_id", [None, "", 7, "a/b", "x" * 65, ["a"]])
def test_without_a_run_id_nothing_is_done(run_id: object) -> None:
    assert callback(run_id=run_id) == "no_run_id"


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        [],
        "x",
        {"app": "detag"},
        {"job_id": JOB_ID},
        {"app": "other", "job_id": JOB_ID},
        {"app": "detag", "job_id": "j-1"},
        {"app": "detag", "job_id": JOB_ID.upper()},
        {"app": "detag", "job_id": JOB_ID + "0"},
        {"app": "detag", "job_id": JOB_ID + "\n"},
        {"app": ["detag"], "job_id": JOB_ID},
        {"app": "detag", "job_id": 7},
    ],
)
def test_a_run_without_our_mark_is_not_ours(metadata: object) -> None:
    assert callback(metadata=metadata) == "not_ours"


# What is sent on


def test_of_too_many_urls_the_first_are_sent_on() -> None:
    urls = [f"https://x/{number}" for number in range(MAX_OUTPUT_URLS + 1)]
    assert read(output={"image_urls": urls}).output_urls == tuple(urls[:-1])


def test_of_urls_too_long_together_the_first_are_sent_on() -> None:
    urls = ["https://x/1", "https://x/2"]
    urls[1] += "a" * (MAX_OUTPUT_URLS_BYTES - len(json.dumps(urls)))
    assert read(output={"image_urls": [*urls, "https://x/3"]}).output_urls == tuple(urls)
    assert read(output={"image_urls": [urls[0], urls[1] + "a"]}).output_urls == (urls[0],)


@pytest.mark.parametrize("character", ["a", "é", "\ud83d\ude00", '"', "\x00"])
def test_the_largest_message_fits_a_queue(character: str) -> None:
    most = MAX_OUTPUT_URLS_BYTES // (len(json.dumps(character)) - 2)
    for length in range(most - 40, most + 40):
        found = read(
            event="run.completed" + "!" * 100, status="succeeded", output={"url": "https://x/" + character * length}
        )
        assert len(json.dumps(result_message(found, NOW)).encode()) < 256 * 1024


def test_a_message_comes_back_as_it_was_sent() -> None:
    found = read(output={"image_urls": [A, B]})
    result = read_result(json.loads(json.dumps(result_message(found, NOW))))
    assert (result.job_id, result.run_id, result.status, result.output_urls, result.sent_at) == (
        JOB_ID,
        RUN_ID,
        RunStatus.SUCCEEDED,
        (A, B),
        NOW,
    )


def test_a_message_of_reconcile_names_job_and_run_only() -> None:
    result = read_result({"job_id": JOB_ID, "run_id": RUN_ID})
    assert (result.status, result.output_urls, result.sent_at) == (RunStatus.UNKNOWN, (), 0.0)


@pytest.mark.parametrize("message", [{}, {"job_id": "j"}, {"job_id": 7}, {"job_id": None, "run_id": RUN_ID}])
def test_a_message_without_a_job_is_an_error(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="job_id"):
        read_result(message)


def test_what_is_wrong_in_a_message_is_left_out() -> None:
    result = read_result({"job_id": JOB_ID, "run_id": "a/b", "status": 7, "links": [7, A, None], "more": 1})
    assert (result.run_id, result.status, result.output_urls) == (None, RunStatus.UNKNOWN, (A,))
    assert read_result({"job_id": JOB_ID, "links": "x"}).output_urls == ()


# What is sent to Runflow


def ours(key: str = "a b.jpg", ratio: str | None = None) -> str:
    return create_body(
        image_url=A,
        callback_url="https://x/callbacks",
        client_ref=f"{JOB_ID}.1",
        job_id=JOB_ID,
        key=key,
        aspect_ratio=ratio,
    )


def test_a_request_is_ascii_with_config_only_for_a_ratio() -> None:
    """A request is plain ASCII, and has no config unless a ratio is asked for."""
    assert ours("Größe 😀.jpg").isascii()
    assert json.loads(ours())["input"] == {"image_url": A}
    assert json.loads(ours(ratio="4:3"))["input"] == {"image_url": A, "config": {"aspect_ratio": "4:3"}}
    assert json.loads(ours())["metadata"] == OURS | {"key": "a b.jpg"}
    assert all(isinstance(value, str) for value in json.loads(ours())["metadata"].values())


@pytest.mark.parametrize(
    "key", ["data:image/png;base64,AA", "x https://a.b/c", "runflow://assets/1", "DATA:x", "a/data:b"]
)
def test_nothing_in_the_metadata_looks_like_a_url(key: str) -> None:
    shown = json.loads(ours(key))["metadata"]["key"].lower()
    assert not any(word in shown for word in ("data:", "https:", "http:", "runflow:"))


def test_a_long_key_is_shortened_in_the_metadata() -> None:
    assert len(json.loads(ours("é" * 512))["metadata"]["key"]) == 200


# A run is ours if it read our photo


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://b.s3.amazonaws.com/a%20b?X=1", "https://b.s3.amazonaws.com/a%20b?X=2", True),
        ("https://b.s3.amazonaws.com/a?X=1", "https://c.s3.amazonaws.com/a?X=1", False),
        ("https://b.s3.amazonaws.com/a?X=1", "https://b.s3.amazonaws.com/b?X=1", False),
        ("https://b.s3.amazonaws.com/a", "https://me@b.s3.amazonaws.com/a", False),
        ("https://b.s3.amazonaws.com/a", None, False),
        (None, None, False),
        ("", "", False),
        ("https://[::1", "https://[::1", False),
        ("https://b.s3/it%27s%20~.jpg?a", "https://B.s3/it's%20%7E.jpg?b", True),
        ("https://b.s3/a%252Fb.jpg", "https://b.s3/a%2Fb.jpg", False),
        ("https://b.s3/a+b.jpg?1", "https://b.s3/a%20b.jpg?2&1", True),
        ("https://b.s3/a+b.jpg", "https://b.s3/a%2Bb.jpg", True),
        ("https://b.s3/a%20b.jpg", "https://b.s3/a%2Bb.jpg", False),
        ("https://b.s3:443/a.jpg", "https://B.s3./a.jpg", True),
        ("https://b.s3:9000/a.jpg", "https://b.s3/a.jpg", False),
        ("https://b.s3:no/a.jpg", "https://b.s3:no/a.jpg", False),
    ],
)
def test_two_urls_name_the_same_photo_by_host_and_path(one: str | None, other: str | None, same: bool) -> None:
    assert same_place(one, other) is same


@pytest.mark.parametrize(
    ("shown", "surely"),
    [
        ("https://b.s3/hat.jpg", True),
        ("https://c.s3/hat.jpg", False),
        ("https://b.s3/café%201.jpg", False),
        ("https://b.s3/cafe%CC%81%201.jpg", False),
        ("https://b.s3/caf%25C3%25A9%25201.jpg", False),
        ("https://b.s3/caf%E9%201.jpg", False),
        ("https://b.s3/caf%3F+1.JPG", False),
        ("https://b.s3/caf", False),
        ("https://b.s3", False),
        ("https://[", False),
        (None, False),
    ],
)
def test_what_may_be_spelt_otherwise_is_not_another_photo(shown: str | None, surely: bool) -> None:
    """A URL that may be cut off, escaped again or written in another alphabet may still be the photo's."""
    assert is_other_place(shown, "https://b.s3/caf%C3%A9%201.jpg") is surely


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (("a1.1", "a1.1"), "a1.1"),
        ((None, "a1.1"), "a1.1"),
        ((7, "a1.1"), "a1.1"),
        (("a1.1", None), "a1.1"),
        (("a1", "a1.1"), None),
        (("A1.1 ", "a1.1"), None),
        (("theirs", "a1.1"), "theirs"),
        (("a1.2", "a1.1"), "a1.2"),
        (("a1.1x", "a1.1"), "a1.1x"),
    ],
)
def test_a_name_that_was_cut_off_is_none(names: tuple[object, object], read: str | None) -> None:
    """The metadata tell of it; another name than theirs is another name."""
    run = read_run({"id": RUN_ID, "client_ref": names[0], "metadata": {"app": "detag", "client_ref": names[1]}})
    assert run is not None and (run.client_ref, run.hides_name) == (read, False)


def test_a_name_that_is_left_out_is_hidden() -> None:
    run, told = read_run({"id": RUN_ID}), read_run({"id": RUN_ID, "client_ref": None})
    assert run is not None and told is not None
    assert (run.hides_name, told.hides_name) == (True, False)


# Somebody else's words


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("cannot read https://b.s3.amazonaws.com/k?X-Amz-Signature=0 now", "cannot read <left out> now"),
        ('{"input": "https:\\/\\/b.s3\\/k?X-Amz-Signature=0"}', '{"input": "<left out>"}'),
        ("at HTTPS%3A%2F%2Fb%2Fk", "at <left out>"),
        ("data:image/png;base64,AAAA", "<left out>"),
        ("invalid data: no image", "invalid data: no image"),
        ("see runflow://assets/1", "see <left out>"),
        ("X-Amz-Security-Token=FwoG%2B&x", "<left out>&x"),
        ("key rf_live_abc, rf_svc_1 and whsec_abc", "key <left out>, <left out> and <left out>"),
        ("Authorization: Bearer abc.def", "Authorization: <left out>"),
        ("line\nbreak\x1b[31m\u202e", "line break [31m "),
        ("x" * 600, "x" * 499 + "…"),
        ("x" * 500, "x" * 500),
        ("Größe 4096 \u00d7 4096", "Größe 4096 \u00d7 4096"),
    ],
)
def test_somebody_elses_words_are_made_fit_for_a_log(text: str, safe: str) -> None:
    assert redacted(text) == safe


def test_what_failed_is_made_fit_too() -> None:
    found = {"failure_code": "rf_live_abc", "failure_message": "at https://b.s3.amazonaws.com/k?X-Amz-Signature=0"}
    assert failure_of(found) == ("<left out>", "at <left out>")
    assert failure_of({"code": "X" * 200}) == ("X" * 99 + "…", None)
