"""The calls for a photo, as numbers: tests/performance/test_calls.py counts them, the costs are made of them."""

from __future__ import annotations

from typing import Final

PER_PHOTO: Final[dict[str, dict[str, int]]] = {
    "submit": {
        "dynamodb.GetItem": 3,  # the job, the operator's override, the intake
        "s3.GetObject": 1,  # what a HEAD would tell, and the first 64 KiB; one more for the end of a larger photo
        "dynamodb.UpdateItem": 1,  # the newest sequencer of the key
        "dynamodb.TransactWriteItems": 1,  # the claim and its image of the day budget
        "Runflow.POST": 1,
        "dynamodb.PutItem": 1,  # the run's id
    },
    "callback": {"sqs.SendMessageBatch": 1},
    "deliver": {
        "dynamodb.GetItem": 1,
        "dynamodb.UpdateItem": 2,  # the right to store outputs of this photo: taken, and given back
        "Runflow.GET": 1,
        "Runflow.output": 1,
        "s3.HeadObject": 1,  # whose output is there, and how new
        "s3.PutObject": 1,
        "eventbridge.PutEvents": 1,
        "dynamodb.TransactWriteItems": 1,  # the job, its picture, and what its output is known by
    },
}
"""What each function calls for one photo that meets no trouble, in a process that has its secrets."""
PER_PROCESS: Final[dict[str, dict[str, int]]] = {
    function: {"secrets-manager.GetSecretValue": 1} for function in PER_PHOTO
} | {"submit": {"secrets-manager.GetSecretValue": 1, "Runflow.GET": 1}}  # whose its API key is
"""What each function calls once more in a new process; `callback` again every five minutes while it is used."""
IDLE_MINUTE: Final[dict[str, int]] = {"dynamodb.GetItem": 4, "dynamodb.Query": 21}
"""What `reconcile` calls when nothing is due and nobody waits: override, intake, intake and the batch; eight shards
each of what is due and of what waits for intake, and what has ended in each of the five ways."""
