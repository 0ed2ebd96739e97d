"""Plots as small SVG files: bars, and areas over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

WIDTH: Final = 720
LEFT: Final = 300
ROW: Final = 22
COLOURS: Final = ("#4477aa", "#ccbb44", "#ee6677", "#228833", "#66ccee", "#aa3377")


def bars(path: Path, title: str, values: Mapping[str, float], unit: str, mark: float | None = None) -> None:
    """A bar for each value; `mark` is a line across all of them."""
    most = max(*values.values(), mark or 0.0)
    scale = (WIDTH - LEFT - 70) / most
    height = 40 + ROW * len(values)
    parts = [_text(10, 20, title, weight="bold")]
    for number, (name, value) in enumerate(values.items()):
        y = 34 + ROW * number
        parts.append(_text(LEFT - 8, y + 13, name, anchor="end"))
        parts.append(
            f'<rect x="{LEFT}" y="{y}" width="{max(1.0, value * scale):.1f}" height="16" fill="{COLOURS[0]}"/>'
        )
        parts.append(_text(LEFT + value * scale + 5, y + 13, f"{_figure(value)} {unit}"))
    if mark is not None:
        x = LEFT + mark * scale
        parts.append(f'<path d="M{x:.1f} 30V{height - 4}" stroke="{COLOURS[2]}" stroke-dasharray="4 3"/>')
    _write(path, height, parts)


def areas(path: Path, title: str, times: Sequence[float], series: Mapping[str, Sequence[float]]) -> None:
    """Series on top of each other over time in seconds."""
    height, top, bottom = 300, 34, 270
    most = max(sum(values[index] for values in series.values()) for index in range(len(times))) or 1
    across = (WIDTH - 220) / (times[-1] or 1)
    parts = [_text(10, 20, title, weight="bold")]
    floor = [0.0] * len(times)
    for number, (name, values) in enumerate(series.items()):
        roof = [below + value for below, value in zip(floor, values, strict=True)]
        edge = [*zip(times, roof, strict=True), *reversed([*zip(times, floor, strict=True)])]
        points = " ".join(f"{50 + x * across:.1f},{bottom - y * (bottom - top) / most:.1f}" for x, y in edge)
        parts.append(f'<polygon points="{points}" fill="{COLOURS[number % 6]}"/>')
        parts.append(
            f'<rect x="{WIDTH - 155}" y="{40 + ROW * number}" width="12" height="12" fill="{COLOURS[number % 6]}"/>'
        )
        parts.append(_text(WIDTH - 138, 51 + ROW * number, name))
        floor = roof
    parts += [_text(45, top + 8, f"{most:.0f}", anchor="end"), _text(45, bottom, "0", anchor="end")]
    parts += [
        _text(50, bottom + 18, "0 s"),
        _text(50 + times[-1] * across, bottom + 18, f"{times[-1]:.0f} s", anchor="end"),
    ]
    _write(path, height, parts)


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _write(path: Path, height: int, parts: Sequence[str]) -> None:
    size, font = f'viewBox="0 0 {WIDTH} {height}"', 'font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>'
    paper = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([head, paper, *parts, "</svg>"]) + "\n", encoding="utf-8")
