"""Giving on what one has: grants, keys, and whatever else lets others do something."""

from __future__ import annotations

from collections.abc import Collection

from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import ForbiddenError


def check_gives(access: Access, verbs: Collection[Verb], selector: Selector) -> None:
    """Raises ForbiddenError for more than whoever gives it has."""
    for verb in Verb:
        if verb in verbs and not access.can_give({verb}, selector):
            raise ForbiddenError(
                f'{access.who} lacks the verb "{verb}" on {selector}, and nobody gives what they have not',
                hint="an admin of everything gives it",
            )
