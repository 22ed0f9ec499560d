"""Changes of labels: by its labels an object comes into grants, and out of them. So nobody may give an object labels by
which they would gain a verb over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import ForbiddenError


def check_labels(access: Access, before: Target, labels: Mapping[str, str]) -> None:
    """Raises ForbiddenError for labels by which somebody would gain something over an object, or lose hold of it."""
    after = replace(before, labels=labels)
    access.check(Verb.EDIT, after, also="with these labels it would be out of reach")
    check_no_gain(access, before, after)


def check_no_gain(access: Access, before: Target, after: Target) -> None:
    """Raises ForbiddenError for labels by which somebody would get a verb that they had not."""
    if gained := sorted(access.verbs_on(after) - access.verbs_on(before)):
        raise ForbiddenError(
            f'with these labels {access.who} would get the verb "{gained[0]}" on {after}',
            hint="ask somebody for it who has that verb",
        )
