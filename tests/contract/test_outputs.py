"""What every fetcher of output URLs does."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from detag.adapters.outputs import Guard, SafeFetcher
from detag.domain.images import HEAD_BYTES
from detag.ports.errors import Transient
from detag.ports.outputs import Fetcher, OutputUrlExpired, Unsafe
from detag.ports.outputs_fake import FakeFetcher
from detag.ports.runs_fake import tiny_image
from tests.server import Server, serving
from tests.wire import answer

OUTPUT = tiny_image("image/webp", b"cleaned")
LARGE = tiny_image("image/webp", b"x" * 300_000)


class Side(Protocol):
    """A fetcher, and what is at the URLs."""

    @property
    def fetcher(self) -> Fetcher: ...
    def url(self, data: bytes) -> str: ...
    def breaking_url(self, data: bytes) -> str:
        """A URL whose body breaks off half-way, after the first 128 KiB."""

    def expired_url(self) -> str: ...
    def strange_url(self) -> str: ...


class FakeSide:
    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._reads_left = 1_000
        self.fetcher = FakeFetcher(self._read, self._effect)

    def _read(self, url: str) -> bytes:
        if url == self.strange_url():
            raise Unsafe("not a URL of Runflow's")
        if url == self.expired_url():
            raise OutputUrlExpired("the URL answered 403")
        return self._data[url]

    @contextmanager
    def _effect(self, name: str) -> Iterator[None]:
        if name == "fetcher.read":
            self._reads_left -= 1
            if self._reads_left < 0:
                raise Transient("the connection broke off")
        yield

    def url(self, data: bytes) -> str:
        url = f"https://outputs.test/{len(self._data)}"
        self._data[url] = data
        return url

    def breaking_url(self, data: bytes) -> str:
        self._reads_left = 2
        return self.url(data)

    def expired_url(self) -> str:
        return "https://outputs.test/dead"

    def strange_url(self) -> str:
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

    def url(self, data: bytes) -> str:
        path = f"/{len(self._answers)}"
        self._answers[path] = answer(body=data)
        return self._at(path)

    def breaking_url(self, data: bytes) -> str:
        path = f"/{len(self._answers)}"
        self._answers[path] = answer(body=data[: 2 * HEAD_BYTES], Content_Length=str(len(data)))
        return self._at(path)

    def expired_url(self) -> str:
        return self._at("/dead")

    def strange_url(self) -> str:
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
def test_an_output_comes_whole(side: Side, kind: str) -> None:
    output = tiny_image(kind, b"cleaned")
    with side.fetcher.open(side.url(output)) as download:
        assert (download.head, download.length, download.body.read()) == (output, len(output), output)


def test_the_head_of_a_large_output_takes_nothing_from_its_body(side: Side) -> None:
    with side.fetcher.open(side.url(LARGE)) as download:
        assert (download.head, download.length) == (LARGE[:HEAD_BYTES], len(LARGE))
        assert b"".join(iter(lambda: download.body.read(10_007), b"")) == LARGE


def test_each_url_gives_its_own_output(side: Side) -> None:
    urls = {note: side.url(tiny_image("image/webp", note)) for note in (b"one", b"two")}
    for note, url in urls.items():
        with side.fetcher.open(url) as download:
            assert note in download.body.read()


def test_an_expired_url_says_so(side: Side) -> None:
    with pytest.raises(OutputUrlExpired), side.fetcher.open(side.expired_url()):
        pass


def test_a_url_to_somewhere_else_is_not_opened(side: Side) -> None:
    with pytest.raises(Unsafe), side.fetcher.open(side.strange_url()):
        pass


@pytest.mark.parametrize("data", [b"", b"<html>no image</html>", b"BM" + bytes(100), b"%PDF-1.7"])
def test_what_is_no_image_is_refused(side: Side, data: bytes) -> None:
    with pytest.raises(Unsafe), side.fetcher.open(side.url(data)):
        pass


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp"])
def test_an_output_that_stops_before_its_end_is_refused(side: Side, kind: str) -> None:
    with pytest.raises(Unsafe), side.fetcher.open(side.url(tiny_image(kind, b"cleaned")[:-3])):
        pass


def test_a_body_that_breaks_off_is_transient(side: Side) -> None:
    with side.fetcher.open(side.breaking_url(LARGE)) as download, pytest.raises(Transient):
        list(iter(lambda: download.body.read(10_000), b""))


def test_a_download_that_is_given_up_does_no_harm_to_the_next(side: Side) -> None:
    with side.fetcher.open(side.url(LARGE)) as download:
        download.body.read(10)
    with side.fetcher.open(side.url(OUTPUT)) as download:
        assert download.body.read() == OUTPUT


def test_what_the_caller_raises_comes_out_as_it_is(side: Side) -> None:
    with pytest.raises(KeyError, match="mine"), side.fetcher.open(side.url(OUTPUT)):
        raise KeyError("mine")


def test_where_nobody_listens_is_transient() -> None:
    with serving(lambda path: answer(body=OUTPUT)) as server:
        url = f"http://127.0.0.1:{server.port}/a"
    fetcher = SafeFetcher(ssl.create_default_context(), Guard(("127.0.0.1", server.port)))
    with pytest.raises(Transient), fetcher.open(url):
        pass
