"""What is changed in MiniStack so that a stack behaves on it as it does on AWS.

Each mend is a function that first asks whether MiniStack still needs it, by looking at what MiniStack does, and
whether the place it changes is still there, by name and by parameters. Either answer being no raises MendError, and
the emulator does not start: MiniStack moves fast, and a mend that silently stopped working would be worse than none.
After an upgrade, run the integration tests and change VERSION.
"""

from importlib import metadata

from . import cloudformation, http_api, permissions, queues, uploads
from .hooks import MendError

VERSION = "1.5.33"

ALL = (
    cloudformation.http_api_gets_its_routes,
    cloudformation.secret_refers_to_its_arn,
    cloudformation.secret_without_a_value_has_none,
    cloudformation.table_gets_its_time_to_live,
    cloudformation.function_gets_its_reserved_concurrency,
    cloudformation.function_gets_its_dead_letter_queue,
    http_api.requests_and_answers_are_as_api_gateway_makes_them,
    queues.a_wrong_item_identifier_fails_the_batch,
    uploads.an_event_names_the_version,
    permissions.a_batch_of_messages_needs_the_single_permission,
    permissions.a_wildcard_covers_a_line_break_too,
)


def apply_all() -> None:
    """Mend the MiniStack that this process has imported. Raises MendError if it is not the one we know."""
    found = metadata.version("ministack")
    if found != VERSION:
        raise MendError(f"these mends were made for MiniStack {VERSION}, and this is {found}")
    for mend in ALL:
        mend()
