"""Checks of REST's answers beside schemathesis' own. It loads this by ``SCHEMATHESIS_HOOKS``."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.openapi.checks import RejectedPositiveData

ACCEPTANCE = CHECKS.get_one("positive_data_acceptance")
NODE, OTHER_NODE = "gpu-01", "node-2"  # as fuzz/target.py makes them; its packages are not here
BY_SCHEMA = "invalid_request"  # the code of what the framework refuses by a route's own types
BY_WORDS = ("value_error", "gk_")  # of rules that a schema can't tell, such as those of labels


@schemathesis.check  # type: ignore[untyped-decorator]
def sound_requests_are_taken(ctx: Any, response: Any, case: Any) -> bool | None:
    """A request that is sound by the document is refused only by rules that a schema can't tell: of a pipeline's
    language, of a cursor that was made up, or of two keys that are given at once. Those have codes of their own."""
    try:
        return ACCEPTANCE(ctx, response, case)  # type: ignore[no-any-return]
    except RejectedPositiveData:
        if _is_refused_by_rules(response):
            return None
        raise


def _is_refused_by_rules(response: Any) -> bool:
    if response.status_code not in (400, 412, 422):
        return False
    problem = response.json()
    if response.status_code == 400:
        return problem["code"] in ("nul", "unicode")
    kinds = [found["code"] for found in problem["problems"]]
    return problem["code"] != BY_SCHEMA or (bool(kinds) and all(kind.startswith(BY_WORDS) for kind in kinds))


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """The node with an agent stays, or soon no request would reach one: what takes a node away is asked of another."""
    takes_away = case.method == "DELETE" or case.path.endswith("/revoke")
    if takes_away and (case.path_parameters or {}).get("node_id") == NODE:
        case.path_parameters["node_id"] = OTHER_NODE
