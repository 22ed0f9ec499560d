"""The proof once more of who has signed in, as routes ask for it that change one's own ways in."""

from __future__ import annotations

from gamekeeper.cli.context import Context
from gamekeeper.cli.typed import typed_password


def typed_proof(obj: Context, *, from_stdin: bool) -> dict[str, str]:
    """The password, and a code where there is an authenticator already."""
    user = obj.call("GET", "/whoami")["user"]
    proof = {"password": typed_password("password: ", from_stdin=from_stdin)}
    if user and user["has_totp"]:
        proof["code"] = typed_password("code: ", from_stdin=from_stdin)
    return proof
