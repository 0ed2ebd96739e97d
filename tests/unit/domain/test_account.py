"""Whose an API key is: what `GET /v1/auth/me` may say, and what of it proves that two keys are of one account."""

from __future__ import annotations

from typing import Any

import pytest

from detag.domain.runs import names_of_key, same_account

NAMED: dict[str, Any] = {
    "an id": {"organization_id": "o-1"},
    "a short name": {"org_id": "o-1", "name": "Shop"},
    "British": {"organisation_id": "o-1"},
    "an object": {"id": "u-1", "organization": {"id": "o-1", "name": "Shop"}},
    "a text": {"organization": "o-1"},
    "an envelope": {"data": {"user_id": "u-1", "org": {"id": "o-1"}}},
    "the key's own": {"api_key": {"organization_id": "o-1"}, "organizations": [{"id": "o-2"}]},
    "twice the same": {"org_id": "o-1", "organization": {"id": "o-1"}},
    "a number": {"organization_id": 1},
}
SILENT: dict[str, Any] = {
    "nothing": None,
    "an empty object": {},
    "a text": "ok",
    "a list": [{"organization_id": "o-1"}],
    "a person": {"id": "u-1", "user_id": "u-1", "email": "a@example.com"},
    "a person's home": {"user": {"id": "u-1", "organization_id": "o-1"}},
    "memberships": {"organizations": [{"id": "o-1"}]},
    "empty values": {"organization_id": "", "org": {}, "organization": None, "org_id": True},
}


@pytest.mark.parametrize("answer", NAMED)
def test_two_keys_of_one_organisation_are_of_one_account(answer: str) -> None:
    one, other = names_of_key("rf_live_1", NAMED[answer]), names_of_key("rf_live_2", NAMED[answer])
    assert same_account(one, other)
    assert not same_account(one, names_of_key("rf_live_2", {"organization_id": "o-9"}))


@pytest.mark.parametrize("answer", SILENT)
def test_what_does_not_name_the_organisation_proves_nothing(answer: str) -> None:
    """Without an organisation the key stands for its account: another key is another account."""
    one, other = names_of_key("rf_live_1", SILENT[answer]), names_of_key("rf_live_2", SILENT[answer])
    assert not same_account(one, other)
    assert same_account(one, names_of_key("rf_live_1", {"organization_id": "o-1"}))


def test_several_organisations_have_to_be_equal() -> None:
    one = names_of_key("rf_live_1", {"org_id": "o-1", "organization": {"id": "o-2"}})
    assert same_account(one, names_of_key("rf_live_2", {"org_id": "o-2", "organization": {"id": "o-1"}}))
    assert not same_account(one, names_of_key("rf_live_2", {"org_id": "o-1"}))


def test_neither_key_nor_organisation_can_be_read_from_it() -> None:
    names = names_of_key("rf_live_secret", {"organization_id": "shop@example.com"})
    assert [len(name.split()[1]) for name in names] == [16, 16]
    assert not any(part in " ".join(names) for part in ("rf_", "secret", "shop", "example"))


def test_an_account_that_is_not_known_is_nobodys() -> None:
    assert not same_account((), names_of_key("rf_live_1", {"organization_id": "o-1"}))
    assert not same_account((), ())
