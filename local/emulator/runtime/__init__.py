"""Lambda functions as real processes: one execution environment is one process, as on AWS.

``bootstrap`` runs inside the process, ``process`` controls it from outside, ``pool`` decides how many there are, and
``executor`` uses them in place of MiniStack's own worker.
"""
