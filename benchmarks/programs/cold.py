"""A cold start, to be measured from outside: `cold.py FOLDERS [EVENT]` imports handler, and calls it where an event is
given. FOLDERS, with colons between them, go to the front of sys.path, as Lambda puts /var/task and /opt there.
"""

import importlib
import os
import sys

sys.path[:0] = sys.argv[1].split(os.pathsep)
handler = importlib.import_module("handler")
if len(sys.argv) > 2:
    import json
    from types import SimpleNamespace

    with open(sys.argv[2], encoding="utf-8") as file:  # noqa: PTH123 - nothing that a function need not import
        event = json.load(file)
    context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 30_000)
    answer = handler.lambda_handler(event, context)
    if answer.get("batchItemFailures") or answer.get("statusCode", 200) != 200:
        sys.exit(f"the event was not handled: {answer}")
sys.stdout.flush()
os._exit(0)  # a function is never taken down in good order
