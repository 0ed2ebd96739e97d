"""The sample photos, drawn once for all tests."""

from __future__ import annotations

from functools import cache

from local.samples import SAMPLES, Drawn, Sample

PHOTOS = [sample for sample in SAMPLES if sample.product is not None]


@cache
def drawn(sample: Sample) -> Drawn:
    """A sample and its clean original."""
    return sample.draw()


@cache
def content(sample: Sample) -> bytes:
    """A sample's file."""
    return sample.content()
