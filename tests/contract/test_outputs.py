"""What every fetcher of output links does."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from detag.adapters.outputs import Guard, SafeFetcher
from detag.domain.images import HEAD_BYTES
from detag.ports.errors import Transient
from detag.ports.outputs import Fetcher, LinkExpired, Unsafe
from detag.ports.outputs_fake import FakeFetcher
from detag.ports.runs_fake import tiny_picture
from tests.server import Server, serving
from tests.wire import answer

PICTURE = tiny_picture("image/webp", b"cleaned")
LARGE = tiny_picture("image/webp", b"x" * 300_000)


class Side(Protocol):
    """A fetcher, and what is at the links."""

    @property
    def fetcher(self) -> Fetcher: ...
    def link(self, data: bytes) -> str: ...
    def breaking_link(self, data: bytes) -> str:
        """A link whose body breaks off half-way, after the first 128 KiB."""

    def dead_link(self) -> str: ...
    def strange_link(self) -> str: ...


class FakeSide:
    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._reads_left = 1_000
        self.fetcher = FakeFetcher(self._read, self._effect)

    def _read(self, link: str) -> bytes:
        if link == self.strange_link():
            raise Unsafe("not a link of Runflow's")
        if link == self.dead_link():
            raise LinkExpired("the link answered 403")
        return self._data[link]

    @contextmanager
    def _effect(self, name: str) -> Iterator[None]:
        if name == "fetcher.read":
            self._reads_left -= 1
            if self._reads_left < 0:
                raise Transient("the connection broke off")
        yield

    def link(self, data: bytes) -> str:
        link = f"https://outputs.test/{len(self._data)}"
        self._data[link] = data
        return link

    def breaking_link(self, data: bytes) -> str:
        self._reads_left = 2
        return self.link(data)

    def dead_link(self) -> str:
        return "https://outputs.test/dead"

    def strange_link(self) -> str:
        return "https://elsewhere.test/"


class HttpSide:
    """The adapter, and a server where it may go: the local stack's exception."""

    def __init__(self) -> None:
        self._answers: dict[str, list[bytes]] = {"/dead": answer(403, b"<Error/>")}
        self.server = Server(self._script)
        self.fetcher = SafeFetcher(ssl.create_default_context(), Guard(("127.0.0.1", self.server.port)))

    def _script(self, path: str) -> Iterable[bytes]:
        return self._answers[path]

    def _at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"

    def link(self, data: bytes) -> str:
        path = f"/{len(self._answers)}"
        self._answers[path] = answer(body=data)
        return self._at(path)

    def breaking_link(self, data: bytes) -> str:
        path = f"/{len(self._answers)}"
        self._answers[path] = answer(body=data[: 2 * HEAD_BYTES], Content_Length=str(len(data)))
        return self._at(path)

    def dead_link(self) -> str:
        return self._at("/dead")

    def strange_link(self) -> str:
        return f"http://127.0.0.1:{self.server.port + 1}/"


@pytest.fixture(params=["fake", "http"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    real = HttpSide()
    yield real
    real.server.close()


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp", "image/gif"])
def test_a_picture_comes_whole(side: Side, kind: str) -> None:
    picture = tiny_picture(kind, b"cleaned")
    with side.fetcher.open(side.link(picture)) as download:
        assert (download.head, download.length, download.body.read()) == (picture, len(picture), picture)


def test_the_head_of_a_large_picture_takes_nothing_from_its_body(side: Side) -> None:
    with side.fetcher.open(side.link(LARGE)) as download:
        assert (download.head, download.length) == (LARGE[:HEAD_BYTES], len(LARGE))
        assert b"".join(iter(lambda: download.body.read(10_007), b"")) == LARGE


def test_each_link_gives_its_own_picture(side: Side) -> None:
    links = {note: side.link(tiny_picture("image/webp", note)) for note in (b"one", b"two")}
    for note, link in links.items():
        with side.fetcher.open(link) as download:
            assert note in download.body.read()


def test_a_dead_link_says_so(side: Side) -> None:
    with pytest.raises(LinkExpired), side.fetcher.open(side.dead_link()):
        pass


def test_a_link_to_somewhere_else_is_not_opened(side: Side) -> None:
    with pytest.raises(Unsafe), side.fetcher.open(side.strange_link()):
        pass


@pytest.mark.parametrize("data", [b"", b"<html>no picture</html>", b"BM" + bytes(100), b"%PDF-1.7"])
def test_what_is_no_picture_is_refused(side: Side, data: bytes) -> None:
    with pytest.raises(Unsafe), side.fetcher.open(side.link(data)):
        pass


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp"])
def test_a_picture_that_stops_before_its_end_is_refused(side: Side, kind: str) -> None:
    with pytest.raises(Unsafe), side.fetcher.open(side.link(tiny_picture(kind, b"cleaned")[:-3])):
        pass


def test_a_body_that_breaks_off_is_transient(side: Side) -> None:
    with side.fetcher.open(side.breaking_link(LARGE)) as download, pytest.raises(Transient):
        list(iter(lambda: download.body.read(10_000), b""))


def test_a_download_that_is_given_up_does_no_harm_to_the_next(side: Side) -> None:
    with side.fetcher.open(side.link(LARGE)) as download:
        download.body.read(10)
    with side.fetcher.open(side.link(PICTURE)) as download:
        assert download.body.read() == PICTURE


def test_what_the_caller_raises_comes_out_as_it_is(side: Side) -> None:
    with pytest.raises(KeyError, match="mine"), side.fetcher.open(side.link(PICTURE)):
        raise KeyError("mine")


def test_where_nobody_listens_is_transient() -> None:
    with serving(lambda path: answer(body=PICTURE)) as server:
        link = f"http://127.0.0.1:{server.port}/a"
    fetcher = SafeFetcher(ssl.create_default_context(), Guard(("127.0.0.1", server.port)))
    with pytest.raises(Transient), fetcher.open(link):
        pass
