"""Names of what comes out, for every key there can be."""

from __future__ import annotations

import re
from decimal import Decimal
from random import Random
from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from detag.domain.images import DELIVERABLE
from detag.domain.job import Job, Upload, sequencer_rank
from detag.domain.naming import (
    FAILED_RECORDS,
    MAX_METADATA_BYTES,
    SKIPPED_RECORDS,
    Naming,
    output_metadata,
    readable,
    source_of,
)
from detag.domain.picture import MAX_KEY_BYTES
from detag.domain.prefix_claim import overlap
from detag.domain.runs import read_run

EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}
types = st.sampled_from(sorted(EXTENSIONS))
numbers = st.integers(1, 16)
owners = st.sampled_from(["", "0a1b2c3d", "0a1b2c3d" * 4])
folders = st.sampled_from([FAILED_RECORDS, SKIPPED_RECORDS])
PLAIN = Naming()
characters = st.characters(exclude_categories=["Cs"])


def fits(key: str) -> bool:
    return len(key.encode()) <= MAX_KEY_BYTES


short_keys = st.text(characters, min_size=1, max_size=60)
long_keys = st.builds(
    lambda start, unit, end: (
        (start + unit * MAX_KEY_BYTES).encode()[: MAX_KEY_BYTES - len(end.encode())].decode(errors="ignore") + end
    ),
    st.text(characters, max_size=20),
    st.sampled_from(["a", "é", "日", "😀", "a/"]),
    st.text(characters, max_size=20),
).filter(fits)
keys = (short_keys | long_keys).filter(bool)
"""Keys as S3 takes them: up to 1,024 bytes of UTF-8, many of them as long as can be."""


# Outputs


def test_every_type_that_may_be_delivered_has_an_ending() -> None:
    assert set(EXTENSIONS) == set(DELIVERABLE)
    assert {PLAIN.output_keys("shoe", kind)[0] for kind in DELIVERABLE} == {f"shoe{end}" for end in EXTENSIONS.values()}


NAMED = {".jpg": "image/jpeg", ".JPEG": "image/jpeg", ".jfif": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@given(keys, types, numbers)
def test_an_outputs_name_is_one_that_s3_takes(key: str, output: str, number: int) -> None:
    assert all(map(fits, PLAIN.output_keys(key, output, number)))


@given(short_keys, st.sampled_from(sorted(NAMED)))
def test_a_name_that_says_the_type_is_kept(stem: str, extension: str) -> None:
    assume(not stem.endswith("/"))
    assert PLAIN.output_keys(stem + extension, NAMED[extension])[0] == stem + extension


@given(short_keys, types, numbers)
def test_another_type_or_a_further_output_is_appended(stem: str, output: str, number: int) -> None:
    """The extension of another type, and the number of a further output, are appended, and nothing is replaced."""
    key = stem + (".heic" if number == 1 else EXTENSIONS[output])
    tail = (f".{number}" if number > 1 else "") + EXTENSIONS[output]
    assert PLAIN.output_keys(key, output, number)[0] == key + tail


@pytest.mark.parametrize("key", ["shoe", "shoe.2024", "a/.jpg", "shoe.jpg/", "shoe.heic", "shoe.jpg.txt"])
def test_any_other_name_gets_an_extension(key: str) -> None:
    """Also where the photo itself was a JPEG: its name does not say so."""
    assert PLAIN.output_keys(key, "image/jpeg")[0] == f"{key}.jpg"


@given(keys, types)
def test_a_name_tells_its_type(key: str, output: str) -> None:
    """Of what it is followed by nothing else: the type of the photo plays no part, so that versions share names."""
    same = {extension for extension, kind in NAMED.items() if kind == output} | {EXTENSIONS[output], ".jpeg", ".jpe"}
    assert all(
        name.casefold().endswith(tuple(end.casefold() for end in same)) for name in PLAIN.output_keys(key, output)
    )


@given(keys, types, types)
def test_two_types_of_one_photo_never_meet(key: str, one: str, other: str) -> None:
    assume(one != other)
    assert not {*PLAIN.output_keys(key, one)} & {*PLAIN.output_keys(key, other)}


@given(keys, types, numbers, numbers)
def test_the_outputs_of_one_photo_never_meet(key: str, output: str, one: int, other: int) -> None:
    assume(one != other)
    assert not {*PLAIN.output_keys(key, output, one)} & {*PLAIN.output_keys(key, output, other)}


@given(keys, keys, types, numbers)
@example("a/shoe.jpg", "a/shoe.png", "image/webp", 1)
@example("a/shoe.jpg", "a/shoe", "image/jpeg", 1)
@example("x" * 1024, "x" * 1023 + "y", "image/webp", 2)
@example("x" * 1024, "x" * 1023, "image/webp", 2)
def test_where_names_are_taken_each_photo_has_two_more(one: str, other: str, output: str, number: int) -> None:
    """The same for each version of a photo, and never another photo's."""
    assume(one != other)
    names, others = PLAIN.output_keys(one, output, number), PLAIN.output_keys(other, output, number)
    assert names == PLAIN.output_keys(one, output, number)
    assert len({*names, *others}) >= 5
    assert not {*names[1:]} & {*others}
    assert not {*names} & {*others[1:]}


@given(keys, types, types, numbers)
def test_what_an_earlier_version_left_is_found(key: str, source: str, output: str, number: int) -> None:
    """It named outputs by the type of the photo: a name was kept where that is the output's."""
    tail = f".{number}" if number > 1 else ""
    tail += EXTENSIONS[output] if tail or source != output else ""
    assert not fits(key + tail) or key + tail in PLAIN.all_output_keys(key, number)


# Prefixes and the names that replace

prefixes = (
    st.text("abé 日./", max_size=12).filter(lambda text: not text.startswith("/")).map(lambda text: text and text + "/")
)


@given(keys, prefixes, prefixes, st.booleans(), types, numbers)
def test_outputs_and_records_are_below_their_prefix(
    key: str, input_prefix: str, output_prefix: str, replaces: bool, output: str, number: int
) -> None:
    """Whatever the photo, what comes out lies below the output prefix, in the photo's folder below the input's."""
    naming = Naming(input_prefix, output_prefix, replaces)
    photo = input_prefix + key
    assume(fits(photo))
    names = (*naming.output_keys(photo, output, number), *naming.record_keys(FAILED_RECORDS, photo))
    assert all(map(fits, names))
    assert all(name.startswith(output_prefix) for name in names)
    plain = Naming(replaces=replaces).output_keys(key, output, number)[0]
    if fits(output_prefix + plain + "." * 40):
        assert names[0] == output_prefix + plain


@given(prefixes, prefixes, keys)
def test_no_output_of_a_folder_beside_is_a_photo(input_prefix: str, output_prefix: str, key: str) -> None:
    """Where two folders do not overlap, no output is in the photos' one."""
    assume(not overlap(input_prefix, output_prefix))
    naming = Naming(input_prefix, output_prefix)
    names = naming.output_keys(input_prefix + key, "image/webp")
    assert not any(name.startswith(input_prefix) for name in names)


def claimed(naming: Naming, uploads: list[tuple[str, str, int]]) -> dict[tuple[str, str, int], str]:
    """Which name each output gets, as `Storing.place` takes them: the first that is not another photo's."""
    owners: dict[str, str] = {}
    taken = {}
    for key, output, number in uploads:
        names = naming.output_keys(key, output, number)
        taken[key, output, number] = next(name for name in names if owners.setdefault(name, key) == key)
    return taken


names_alike = st.builds(
    lambda stem, ends: stem + "".join(ends),
    st.sampled_from(["shoe", "a/shoe", "shoe.2", "a/.jpg", "Shoe", "x" * 1_018]),
    st.lists(st.sampled_from([".jpg", ".png", ".webp", ".JPG", ".jpeg", ".2", ".heic", ".txt"]), max_size=3),
).filter(fits)
uploads_alike = st.lists(st.tuples(names_alike | keys, types, st.integers(1, 3)), min_size=1, max_size=12)


@given(uploads_alike, st.booleans(), st.randoms())
def test_no_two_photos_ever_share_a_name(uploads: list[tuple[str, str, int]], replaces: bool, random: Random) -> None:
    """Whatever the photos and the order in which they come: each name is one photo's, and stays so when they come again
    in another order.
    """
    naming = Naming(replaces=replaces)
    again = random.sample(uploads, len(uploads))
    first, both = claimed(naming, uploads), claimed(naming, uploads + again)
    assert first == both
    owner = dict[str, str]()
    for (key, *_), name in both.items():
        assert owner.setdefault(name, key) == key


@pytest.mark.parametrize(
    ("key", "output", "number", "name"),
    [
        ("shoe.jpg", "image/webp", 1, "shoe.webp"),
        ("a.b/shoe.JPEG", "image/webp", 1, "a.b/shoe.webp"),
        ("shoe.jpg", "image/jpeg", 1, "shoe.jpg"),
        ("shoe.jpg", "image/webp", 2, "shoe.jpg.2.webp"),
        ("shoe.2024", "image/webp", 1, "shoe.2024.webp"),
        ("a/.jpg", "image/webp", 1, "a/.jpg.webp"),
    ],
)
def test_replace_takes_the_place_of_a_known_extension(key: str, output: str, number: int, name: str) -> None:
    assert Naming(replaces=True).output_keys(key, output, number)[0] == name


def test_the_later_of_two_photos_appends() -> None:
    """Where two photos would meet, the later one appends, and the choice stays with both names."""
    uploads = [("shoe.jpg", "image/webp", 1), ("shoe.png", "image/webp", 1)]
    naming = Naming(replaces=True)
    assert list(claimed(naming, uploads).values()) == ["shoe.webp", "shoe.png.webp"]
    assert list(claimed(naming, uploads[::-1]).values()) == ["shoe.webp", "shoe.jpg.webp"]


# Records


@given(keys, folders)
def test_a_records_name_is_one_that_s3_takes(key: str, folder: str) -> None:
    names = PLAIN.record_keys(folder, key)
    assert all(map(fits, names))
    assert all(name.startswith(folder) and name.endswith(".txt") for name in names)
    assert len(set(names)) == 3


@given(keys, keys)
def test_the_records_of_two_photos_never_meet(one: str, other: str) -> None:
    assume(one != other)
    first, second = PLAIN.record_keys(FAILED_RECORDS, one), PLAIN.record_keys(FAILED_RECORDS, other)
    assert first[0] != second[0]
    assert first[1:] != second[1:]
    assert not {*first, *second} & {
        *PLAIN.record_keys(SKIPPED_RECORDS, one),
        *PLAIN.record_keys(SKIPPED_RECORDS, other),
    }


# Metadata

header_text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=1_024)
uploads = st.builds(
    Upload,
    bucket=st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=3, max_size=63),
    key=keys,
    version_id=st.none() | header_text,
    sequencer=st.text("0123456789ABCDEF", min_size=1, max_size=64),
    etag=st.just("e"),
    size=st.just(1),
    uploaded_at=st.just(0.0),
)
run_ids = st.none() | st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=64)
costs = st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.floats(0, 1e9).map(repr)


@given(
    uploads,
    run_ids,
    costs,
    st.dictionaries(st.text(min_size=1, max_size=40), st.text(max_size=600), max_size=12),
)
@example(
    Upload("b" * 63, "a" * 700, "v" * 1_024, "F" * 64, "e", 1, 0.0), "r" * 64, "0." + "1" * 2_000, {"n": "v" * 2_000}
)
@example(Upload("b" * 63, "é" * 512, "v" * 1_024, "F" * 64, "e", 1, 0.0), "r" * 64, "1E-999999", {"n": "v"})
def test_metadata_is_what_a_header_holds_and_s3_takes(
    upload: Upload, run_id: str | None, cost: str | None, own: dict[str, str]
) -> None:
    run = read_run({"id": "r", "cost": cost})
    assert run is not None
    metadata = output_metadata(Job(upload=upload, run_id=run_id), own, run.cost)
    assert sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) <= MAX_METADATA_BYTES
    for name, value in metadata.items():
        assert re.fullmatch(r"[\x21-\x7e][\x20-\x7e]*", name)
        assert re.fullmatch(r"[\x20-\x7e]*", value)
        assert value == value.strip()
    assert metadata["detag-job-id"] == upload.job_id
    assert {name: value for name, value in metadata.items() if not name.startswith("detag-")}.items() <= own.items()


@given(
    st.dictionaries(
        st.sampled_from(["detag-job-id", "detag-new", "a", "ä", "b c"]), st.sampled_from(["x", "é", " x", ""])
    )
)
def test_no_metadata_of_the_source_passes_for_ours(own: dict[str, str]) -> None:
    upload = Upload("in", "a.jpg", None, "0A", "e", 1, 0.0)
    plain = output_metadata(Job(upload=upload), {}, Decimal("0.14"))
    metadata = output_metadata(Job(upload=upload), own, Decimal("0.14"))
    assert metadata == plain | {name: "x" for name in ("a", "b c") if own.get(name) == "x"}


buckets = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=3, max_size=63)


@given(buckets, keys, buckets, keys)
@example("bbb", "/x", "bbb", "x")
@example("bbb", "a%20b", "bbb", "a b")
@example("bbb", "é" * 512, "bbb", "é" * 511 + "è")
def test_a_source_is_known_by_its_name_in_the_metadata(one: str, key: str, other: str, other_key: str) -> None:
    assume((one, key) != (other, other_key))
    assert source_of(one, key) != source_of(other, other_key)


@given(buckets, short_keys)
def test_a_source_can_be_read_by_a_person(bucket: str, key: str) -> None:
    assume(len(key) < 20)
    assert unquote(source_of(bucket, key)) == f"{bucket}/{key}"


# The rest

sequencers = st.text("0123456789ABCDEF", min_size=1, max_size=40)


@given(sequencers, sequencers)
@example("0055AED6DCD90281E5", "0055AED6DCD90281E5F")
@example("1", "10")
def test_sequencers_compare_as_s3_says(one: str, other: str) -> None:
    width = max(len(one), len(other))
    assert (sequencer_rank(one) < sequencer_rank(other)) == (one.ljust(width, "0") < other.ljust(width, "0"))


@given(sequencers)
def test_a_sequencer_is_the_same_in_either_case(sequencer: str) -> None:
    assert sequencer_rank(sequencer.lower()) == sequencer_rank(sequencer)


@given(keys)
@example("a\nb\x1b[31m\u202e")
def test_a_key_is_shown_on_one_short_line(key: str) -> None:
    shown = readable(key)
    assert shown.isprintable()
    assert len(shown) <= 300


@pytest.mark.parametrize("key", ["shoe.jpg", "Größe/日本 😀.jpg"])
def test_a_plain_key_is_shown_as_it_is(key: str) -> None:
    assert readable(key) == key
