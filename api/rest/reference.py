"""The page `/docs`: Swagger UI, all of it from here, so that it works without the internet.

The page and its files are the same for everybody and hold nothing of this server, so they need no key. What they show
does: the page asks for the key and fetches the OpenAPI document with it. The browser is told to run and ask nothing
that is not from this server.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

_OURS = Path(__file__).parent / "docs"
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_HEADERS = {
    # Swagger UI styles its elements in place, and has icons in its style sheet.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "max-age=600",  # short, so that an upgraded server shows its own page soon
}
FILES = {
    "/docs": (_OURS / "index.html", "text/html"),
    "/docs/page.css": (_OURS / "page.css", "text/css"),
    "/docs/page.js": (_OURS / "page.js", "text/javascript"),
    "/docs/swagger-ui.css": (_SWAGGER_UI / "swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": (_SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript"),
}


def _add(path: str, file: Path, media_type: str) -> None:
    @router.get(path, response_class=FileResponse)
    async def get_file() -> FileResponse:
        return FileResponse(file, media_type=media_type, headers=_HEADERS)


for _path, (_file, _type) in FILES.items():
    _add(_path, _file, _type)
