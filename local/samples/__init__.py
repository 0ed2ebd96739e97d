"""Sample product photos, drawn by code: with price tags, round stickers and labels, and without.

The clean original of each is known, so a test can measure whether a tag is really gone.
"""

from local.samples.catalogue import SAMPLES, Drawn, Sample, write_samples

__all__ = ["SAMPLES", "Drawn", "Sample", "write_samples"]
