"""Many simulations, on every processor, and which faults fired in them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from pytest_socket import disable_socket

from tests.simulation.scenario import Verdict, play

SIMULATIONS = 100
"""Those that the tests play: the seeds from 0."""
CHUNK = 20


def play_all(seeds: Sequence[int], processes: int | None = None) -> Iterator[Verdict]:
    """The verdict of each simulation, in the order of the seeds."""
    if processes == 1:
        yield from map(play, seeds)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin) as pool:
        yield from pool.map(play, seeds, chunksize=CHUNK)


def _begin() -> None:
    """A process of the pool: without sockets, and behind whatever waits for an answer in time."""
    disable_socket()
    os.nice(10)


def shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The share of simulations in which each kind of fault fired, the rarest first."""
    fired = Counter(kind for verdict in verdicts for kind in verdict.seen)
    return {kind: fired[kind] / len(verdicts) for kind in sorted(fired, key=lambda kind: (fired[kind], kind))}


def histogram(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The same as lines of text."""
    for kind, share in shares(verdicts).items():
        yield f"{share:6.1%}  {'#' * round(share * 40):<40}  {kind}"
