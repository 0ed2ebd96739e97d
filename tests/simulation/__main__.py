"""`python -m tests.simulation`: run simulations, or print the trace of one. See `make simulate`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import click

from tests.simulation.checker import INVARIANTS
from tests.simulation.mutants import LIKELY, MUTANTS, SEEDS
from tests.simulation.scenario import Verdict, play
from tests.simulation.simulations import histogram, play_all


@click.command()
@click.option("--seeds", default=2_000, type=click.IntRange(1), show_default=True, help="How many simulations to run.")
@click.option(
    "--from", "first", default=0, type=click.IntRange(0), show_default=True, help="The first simulation's seed."
)
@click.option("--seed", type=click.IntRange(0), help="Replay one simulation exactly and print its trace.")
@click.option("--mutants", is_flag=True, help="Remove one guard at a time, and report the seed that catches it.")
@click.option("--processes", type=click.IntRange(1), help="How many simulations at once. Default: one per processor.")
def main(seeds: int, first: int, seed: int | None, mutants: bool, processes: int | None) -> None:
    """Run simulations in which everything that can fail does, and check every invariant in each.

    Ends with the line "n simulations, m broken", and with status 1 where m > 0.
    """
    if seed is not None:
        verdict = play(seed, trace=True)
        for line in verdict.trace:
            print(line)
        print()
        report([verdict])
        sys.exit(bool(verdict.broken))
    if mutants:
        sys.exit(find_mutants(processes))
    begun = time.monotonic()
    verdicts: list[Verdict] = []
    with click.progressbar(play_all(range(first, first + seeds), processes), length=seeds, file=sys.stderr) as bar:
        verdicts.extend(bar)
    seconds = time.monotonic() - begun
    for line in histogram(verdicts):
        print(line)
    print()
    uploads, runs = sum(verdict.uploads for verdict in verdicts), sum(verdict.runs for verdict in verdicts)
    print(f"{uploads} uploads, {runs} runs, {seeds / seconds:.1f} simulations a second")
    report(verdicts)
    sys.exit(any(verdict.broken for verdict in verdicts))


def find_mutants(processes: int | None) -> bool:
    """Look for a seed that catches each mutant, and keep it for the tests to try first; whether one is missed."""
    found: dict[str, int] = {}
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for mutant, seed in zip(MUTANTS, pool.map(_caught_in, range(len(MUTANTS))), strict=True):
            print(
                f"{'MISSED' if seed is None else f'seed {seed}':<9} {mutant.invariant:<26} {mutant.guard}", flush=True
            )
            if seed is not None:
                found[mutant.guard] = seed
    SEEDS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(MUTANTS)} mutants, {len(MUTANTS) - len(found)} missed")
    return len(found) < len(MUTANTS)


def _caught_in(number: int) -> int | None:
    mutant = MUTANTS[number]
    return mutant.caught_in(LIKELY.get(mutant.guard))


def report(verdicts: list[Verdict]) -> None:
    """Every breach by its invariant, with a seed to replay; the count last."""
    broken = [verdict for verdict in verdicts if verdict.broken]
    counts = Counter(name for verdict in broken for name in dict.fromkeys(name for name, _ in verdict.broken))
    for name, count in counts.most_common():
        print(f"BROKEN in {count}: {name} ({INVARIANTS[name]})")
        seen = [(one.seed, what) for one in broken for breach, what in one.broken if breach == name]
        for seed, what in seen[:5]:
            print(f"  make simulate SEED={seed}: {what[:300]}")
    print(f"{len(verdicts)} simulations, {len(broken)} broken")


if __name__ == "__main__":
    main(prog_name="make simulate")
