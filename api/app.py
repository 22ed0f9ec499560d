"""The FastAPI application: routers, problem handlers, and nothing that decides."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI, Request

from api.dependencies import Services, require_caller
from api.gate import Gate
from api.held_requests import HeldRequests
from api.needs import needs_a_key, needs_of_routes
from api.openapi import DESCRIPTION, TAGS, openapi_document, operation_id
from api.problems import COMMON, install_problem_handlers
from api.rest import agent, health, reference
from api.rest.v1 import (
    alarm,
    alarm_link,
    alarm_rule,
    ca,
    channel,
    console,
    event,
    event_export,
    grant,
    identity,
    instance,
    instance_console,
    instance_log,
    instance_power,
    instance_schedule,
    join,
    join_key,
    joins,
    key,
    log,
    metric,
    node,
    node_drain,
    oidc,
    passkey,
    payload_codec,
    payload_key,
    pipeline,
    placement,
    process,
    quota,
    run,
    run_control,
    run_group,
    schedule,
    secret,
    session,
    sign_in,
    sign_in_link,
    sign_in_links,
    sign_in_passkey,
    sign_in_ways,
    silence,
    totp,
    user,
    whoami,
    window,
)
from api.strict_query import check_query
from api.strict_transport import StrictTransport
from api.ui_origins import UiOrigins
from api.web.files import WebFiles
from api.web.page import install_web_page
from gamekeeper import __version__


def create_app(services: Services, ui_origins: Sequence[str] = ()) -> FastAPI:
    """The app around its services. Pages of ``ui_origins``, Temporal's UI, may have payloads decrypted."""
    app = create_routes()
    if ui_origins:
        app.add_middleware(UiOrigins, origins=ui_origins)
    app.state.services = services
    return app


def create_routes(web: WebFiles | None = None) -> FastAPI:
    """The app without its services. Its own OpenAPI document needs a key like every other route."""
    app = FastAPI(
        title="Gamekeeper",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        generate_unique_id_function=operation_id,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would answer before the key is asked for, with an address from the request's Host
    )
    app.add_middleware(HeldRequests)
    app.add_middleware(Gate)
    app.add_middleware(StrictTransport)
    install_problem_handlers(app)
    app.include_router(health.router)
    app.include_router(agent.router)
    app.include_router(reference.router)
    for public in (join, sign_in, sign_in_link, sign_in_passkey, sign_in_ways, oidc, alarm_link):
        app.include_router(public.router, prefix="/api/v1", dependencies=[Depends(check_query)], responses=COMMON)
    app.include_router(oidc.returns, prefix="/api/v1", responses=COMMON)
    app.include_router(_version_one())
    list(needs_of_routes(app))  # a route that does not say what it needs is no route
    install_web_page(app, web or WebFiles())
    return app


def _version_one() -> APIRouter:
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(require_caller), Depends(check_query)], responses=COMMON)
    below_the_key = (
        node,
        node_drain,
        whoami,
        totp,
        passkey,
        user,
        identity,
        session,
        sign_in_links,
        key,
        grant,
        quota,
        join_key,
        joins,
        run,
        run_control,
        run_group,
        instance,
        instance_power,
        instance_schedule,
        instance_log,
        instance_console,
        log,
        console,
        event,
        event_export,
        alarm,
        alarm_rule,
        channel,
        silence,
        window,
        process,
        metric,
        pipeline,
        placement,
        schedule,
        secret,
        ca,
        payload_key,
        payload_codec,
    )
    for module in below_the_key:
        router.include_router(module.router)

    @router.get("/openapi.json", include_in_schema=False, dependencies=[needs_a_key()])
    async def openapi(request: Request) -> dict[str, object]:
        return openapi_document(request.app)

    return router
