"""The rule for a prefix stands in the template, which refuses a deploy, and in the settings: both say the same."""

from __future__ import annotations

import re
import shlex
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detag.domain.job import Upload
from detag.settings import DeliverSettings, Misconfigured, load
from tests.environment import ENVIRON
from tests.template.resolve import resolved
from tests.template.stack import read_source

SOURCE: Final = read_source()
PREFIXES: Final = ("InputPrefix", "OutputPrefix")
PATTERN: Final[str] = SOURCE["Parameters"]["InputPrefix"]["AllowedPattern"]
parts = st.sampled_from(
    ["", ".", "..", "...", ".a", "a.", "..a", "%2e", " ", "a", "é", "ÿ", "ł", "😀", "'", "*", "$", "\n"]
)
allowed = st.from_regex(PATTERN, fullmatch=True)
prefixes = (
    allowed
    | st.builds("/".join, st.lists(parts, max_size=6))
    | st.builds(lambda start, put, end: start + put + end, allowed, st.characters(exclude_categories=["Cs"]), allowed)
    | st.builds(lambda unit, times: unit * times, allowed, st.integers(2, 60))
)


def template_takes(name: str, text: str) -> bool:
    parameter: dict[str, Any] = SOURCE["Parameters"][name]
    return len(text) <= parameter["MaxLength"] and re.fullmatch(parameter["AllowedPattern"], text) is not None


def settings_take(name: str, text: str) -> bool:
    try:
        load(DeliverSettings, ENVIRON | {name: text})
    except Misconfigured:
        return False
    return True


@given(prefixes)
@example("a//")
@example("a/../b/")
@example("./")
@example("a'b/")
@example("a/\n")
@example("a" * 199 + "/")
@example("a" * 200 + "/")
def test_template_and_settings_take_the_same_prefixes(text: str) -> None:
    taken = {template_takes(name, text) for name in PREFIXES}
    taken |= {settings_take(name, text) for name in ("INPUT_PREFIX", "OUTPUT_PREFIX")}
    assert len(taken) == 1


@given(allowed)
def test_a_photo_in_a_folder_that_is_taken_has_a_usable_name(text: str) -> None:
    """None of its parts is one that clients take out of a URL."""
    assert Upload(
        bucket="in", key=text + "shoe.jpg", version_id="v1", sequencer="1", etag="e", size=1, uploaded_at=0.0
    ).is_addressable


@given(allowed.filter(bool))
@example("it's/")
def test_a_shell_reads_the_prefix_as_it_is(text: str) -> None:
    """In the command that is there to be pasted."""
    if template_takes("InputPrefix", text):
        outputs = resolved(SOURCE, InputBucketName="shop", InputPrefix=text)["Outputs"]
        command = outputs["UploadCommand"]["Value"]["Fn::Sub"]
        assert shlex.split(command)[4] == f"s3://shop/{text}"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("incoming/", True),
        ("crème & more/.incoming/", True),
        ("a.../..b/", True),
        ("/", False),
        ("/a/", False),
        ("a", False),
        ("a//", False),
        ("./", False),
        ("a/./", False),
        ("a/../b/", False),
        ("..", False),
        ("it's/", False),
        ("a*/", False),
        ("łódź/", False),
    ],
)
def test_which_prefixes_are_taken(text: str, taken: bool) -> None:
    assert all(template_takes(name, text) is taken for name in PREFIXES)
