"""The chart of paid runs for one upload when everything is delivered many times: `docs/duplicates.svg`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from typing import Final

from detag.ports.runs_fake import PRICE
from tests.simulation.photos import photo
from tests.simulation.simulation import DAY, Simulation

TIMES: Final = (1, 2, 3, 5, 7, 10, 15, 20)
UPLOADS: Final = 25
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 56, 56, 150, 48


@cache
def paid_runs(times: int) -> float:
    """Paid runs for each upload where each event, message and callback arrives so many times, and workers stall."""
    simulation = Simulation(times, faults=False)
    simulation.profile.active = True
    simulation.profile.rates = {"worker stalled": 0.01, "message reordered": 0.5, "event reordered": 0.5}
    simulation.copies = times
    for number in range(UPLOADS):
        data = photo(f"n{number}", "image/jpeg")
        simulation.after(number * 10.0, partial(simulation.upload, f"{number}.jpg", data))
    simulation.run_until(simulation.time + DAY)
    return float(simulation.runflow.billed / PRICE) / UPLOADS


def draw() -> str:
    """The chart, as SVG."""
    measured = [(times, paid_runs(times)) for times in TIMES]
    naive = [(times, float(times)) for times in TIMES]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
            'font-family="sans-serif" font-size="13">',
            "<title>Paid runs for one upload, against how often everything is delivered</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{LEFT}" y="28" font-size="16" fill="#222">Paid runs for one upload</text>',
            *_axes(),
            _line(naive, "#b0b0b0", "5 4"),
            _line(measured, "#0b7a4b"),
            *(f'<circle cx="{_x(times):.1f}" cy="{_y(runs):.1f}" r="3" fill="#0b7a4b"/>' for times, runs in measured),
            _text(_x(20) + 8, _y(20) + 4, "a run for each event", "#777"),
            _text(_x(20) + 8, _y(measured[-1][1]) + 4, f"detag: {measured[-1][1]:g}", "#0b7a4b"),
            "</svg>\n",
        )
    )


def _axes() -> Iterable[str]:
    for runs in (0, 1, 5, 10, 15, 20):
        yield f'<line x1="{LEFT}" y1="{_y(runs):.1f}" x2="{_x(20):.1f}" y2="{_y(runs):.1f}" stroke="#e4e4e4"/>'
        yield _text(LEFT - 10, _y(runs) + 4, str(runs), "#555", "end")
    for times in (1, 5, 10, 15, 20):
        yield _text(_x(times), HEIGHT - BOTTOM + 20, f"{times}x", "#555", "middle")
    yield _text(LEFT, HEIGHT - 8, "how often each event, message and callback is delivered", "#555")


def _line(points: Iterable[tuple[int, float]], colour: str, dashes: str = "none") -> str:
    path = " ".join(f"{_x(times):.1f},{_y(runs):.1f}" for times, runs in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{text}</text>'


def _x(times: float) -> float:
    return LEFT + (times - 1) / 19 * (WIDTH - LEFT - RIGHT)


def _y(runs: float) -> float:
    return HEIGHT - BOTTOM - runs / 20 * (HEIGHT - TOP - BOTTOM)
