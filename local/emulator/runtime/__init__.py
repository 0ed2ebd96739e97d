"""Lambda functions as real processes: one execution environment is one process, as on AWS.

``bootstrap`` runs inside the process, ``process`` holds its other end, ``pool`` decides how many there are,
and ``executor`` puts them in the place of MiniStack's own worker.
"""
