"""What a user would write instead of detag: `script.py`, and the two functions of `sample.py`.

Both are written fairly, with the retries that are usual for each, and are run by `benchmarks/compare.py`.
"""
