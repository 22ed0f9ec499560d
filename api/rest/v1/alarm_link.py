"""The links that stand in messages. They need no key: whoever has the message has the link.

Programs that preview links ask for them, so a GET changes nothing: it shows a page with one button, which POSTs.
"""

from __future__ import annotations

from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from api.dependencies import AlarmLinksDep
from api.problems import problems
from api.services.alarm.alarm_link import SeenLink
from gamekeeper.domain.alarm.link import LinkPurpose
from gamekeeper.errors import ConflictError, NotFoundError, TooOftenError

router = APIRouter(prefix="/alarm-links", tags=["alarms"])

Token = Annotated[str, Path(max_length=400, pattern=r"^[A-Za-z0-9_-]+$", description="The token of the link")]
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_BUTTONS = {LinkPurpose.ACKNOWLEDGE: "Acknowledge", LinkPurpose.SILENCE: "Silence for 4 hours"}
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/html": {}}, "description": "The alarm, and what the link does."}
}


class AlarmLinkState(BaseModel):
    """The alarm of a link, and what the link does when it is posted."""

    alarm: str = Field(description="Id of the alarm")
    purpose: LinkPurpose = Field(description="What a POST does, and nothing else")
    name: str = Field(description="Name of its rule")
    object: str = Field(description="The object that it is about")
    summary: str = Field(description="Why, in one line")
    is_over: bool = Field(description="True for an alarm that has ended")
    is_done: bool = Field(description="True where it is acknowledged, or muted, already")

    @classmethod
    def of(cls, seen: SeenLink) -> AlarmLinkState:
        row, purpose = seen.row, seen.link.purpose
        is_done = row.acknowledged_at is not None if purpose is LinkPurpose.ACKNOWLEDGE else bool(row.muted)
        return cls(
            alarm=row.id,
            purpose=purpose,
            name=row.name,
            object=f"{row.kind} {row.object_id}".strip(),
            summary=row.summary,
            is_over=row.live_key is None,
            is_done=is_done,
        )


@router.get("/{token}", response_model=AlarmLinkState, responses=_PAGE | problems(NotFoundError))
async def get_alarm_link(
    token: Token, request: Request, links: AlarmLinksDep, response: Response
) -> Response | AlarmLinkState:
    """Shows what the link is for, as a page to browsers. It changes nothing."""
    return _answer(AlarmLinkState.of(await links.look(token)), request, response)


@router.post(
    "/{token}",
    response_model=AlarmLinkState,
    responses=_PAGE | problems(NotFoundError, ConflictError, TooOftenError),
)
async def use_alarm_link(
    token: Token, request: Request, links: AlarmLinksDep, response: Response
) -> Response | AlarmLinkState:
    """Acknowledges the alarm, or silences it for four hours: the one thing that the link is for."""
    address = request.client.host if request.client else ""
    state = AlarmLinkState.of(await links.act(token, address))
    return _answer(state.model_copy(update={"is_done": True}), request, response)


def _answer(state: AlarmLinkState, request: Request, response: Response) -> Response | AlarmLinkState:
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(state), headers=_HEADERS)
    response.headers.update(_HEADERS)
    return state


def _page(state: AlarmLinkState) -> str:
    told = f"{escape(state.name)}: {escape(state.object)}"
    end = "It is over." if state.is_over else "Done." if state.is_done else ""
    button = end or f'<form method="post"><button>{_BUTTONS[state.purpose]}</button></form>'
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{told}</title><h1>{told}</h1><p>{escape(state.summary)}</p><p>{button}</p></html>"
    )
