"""Patches to MiniStack, so that a stack behaves on it as it does on AWS.

Each patch is a function that first checks that MiniStack still needs it, by trying out what MiniStack does, and that
the function it replaces still exists with the same parameters. If either check fails, it raises PatchError and the
emulator does not start: MiniStack moves fast, and a patch that silently stopped working would be worse than none.
After an upgrade, run the integration tests and change VERSION.
"""

from importlib import metadata

from . import cloudformation, downloads, http_api, permissions, queues, uploads
from .hooks import PatchError

VERSION = "1.5.33"

ALL = (
    cloudformation.http_api_gets_its_routes,
    cloudformation.secret_refers_to_its_arn,
    cloudformation.secret_without_a_value_has_none,
    cloudformation.table_gets_its_time_to_live,
    cloudformation.function_gets_its_reserved_concurrency,
    cloudformation.function_gets_its_dead_letter_queue,
    cloudformation.role_gets_its_permissions_boundary,
    http_api.requests_and_answers_are_as_api_gateway_makes_them,
    queues.a_wrong_item_identifier_fails_the_batch,
    queues.a_concurrency_may_come_as_text,
    uploads.an_event_names_the_version,
    uploads.a_copy_is_conditional,
    downloads.a_version_is_sent_as_the_url_says,
    permissions.a_batch_of_messages_needs_the_single_permission,
    permissions.a_wildcard_covers_a_line_break_too,
    permissions.events_are_judged_by_their_sources,
    permissions.items_are_judged_by_their_keys,
)


def apply_all() -> None:
    """Patch the MiniStack that this process has imported. Raises PatchError if they do not fit it."""
    found = metadata.version("ministack")
    if found != VERSION:
        raise PatchError(f"these patches were made for MiniStack {VERSION}, and this is {found}")
    for patch in ALL:
        patch()
