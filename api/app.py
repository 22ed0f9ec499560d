"""The FastAPI application: routers, problem handlers, and nothing that decides."""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI, Request

from api.body_limit import BodyLimit
from api.dependencies import Services, require_key
from api.problems import COMMON, WITH_BODY, ProblemDetails, install_problem_handlers
from api.rest import agent, health
from api.rest.v1 import (
    ca,
    console,
    event,
    join,
    join_key,
    joins,
    log,
    metric,
    node,
    pipeline,
    run,
    run_control,
    run_group,
    schedule,
)
from api.strict_transport import StrictTransport
from gamekeeper import __version__

_BODY_METHODS = {"post", "put", "patch"}
PUBLIC_PATHS = frozenset(
    {"/livez", "/readyz", "/metrics", "/join.sh", "/agent/{file}", "/api/v1/roots", "/api/v1/join"}
)


def create_app(services: Services) -> FastAPI:
    """The app around its services."""
    app = create_routes()
    app.state.services = services
    return app


def create_routes() -> FastAPI:
    """The app without its services. Its own OpenAPI document needs a key like every other route."""
    app = FastAPI(title="Gamekeeper", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit)
    app.add_middleware(StrictTransport)
    install_problem_handlers(app)
    app.include_router(health.router)
    app.include_router(agent.router)
    app.include_router(join.router, prefix="/api/v1", responses=COMMON)
    app.include_router(_version_one())
    return app


def _version_one() -> APIRouter:
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(require_key)], responses=COMMON)
    below_the_key = (
        node,
        join_key,
        joins,
        run,
        run_control,
        run_group,
        log,
        console,
        event,
        metric,
        pipeline,
        schedule,
        ca,
    )
    for module in below_the_key:
        router.include_router(module.router)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> dict[str, object]:
        return openapi_document(request.app)

    return router


def openapi_document(app: FastAPI) -> dict[str, object]:
    """The OpenAPI document, with the key and the problem format that every route shares."""
    document = app.openapi()
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["ProblemDetails"] = ProblemDetails.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    definitions = components["schemas"]["ProblemDetails"].pop("$defs", {})
    components["schemas"].update(definitions)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for operations in document["paths"].values():
        for method in _BODY_METHODS & operations.keys():
            declared = operations[method]["responses"]
            declared.update({str(status): response for status, response in WITH_BODY.items()})
    document["security"] = [{"key": []}]
    for path in PUBLIC_PATHS:
        for operation in document["paths"].get(path, {}).values():
            operation["security"] = []
    return document
