"""Error responses of the API (contract section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Problem(Exception):
    """One error response. `code` is stable, `message` is for people, `errors` has one entry per field on a 422."""

    status: int
    code: str
    message: str
    errors: list[dict[str, Any]] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def invalid(field_path: str, message: str) -> Problem:
    """422 about one field, named as `body.input.image_url` or `query.limit`."""
    return Problem(422, "VALIDATION_ERROR", f"{field_path}: {message}", [{"field": field_path, "message": message}])
