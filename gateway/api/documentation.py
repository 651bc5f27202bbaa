"""GET /openapi.json, and /docs: the same for people, by the Swagger UI of the package `offapi` (Apache-2.0)."""

from pathlib import Path

import offapi
from aiohttp import web

from gateway.api.keys import OPENAPI
from gateway.core.errors import NotFound

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {"swagger_bundle.js": "text/javascript", "swagger_style.css": "text/css"}
_START = "start.js"
_SCRIPT = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true});\n'
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tritone</title>
<link rel="stylesheet" href="docs/swagger_style.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger_bundle.js"></script>
<script src="docs/{_START}"></script>
</body>
</html>
"""


async def openapi(request: web.Request) -> web.Response:
    """The description of this service, as it is configured."""
    return web.Response(body=request.app[OPENAPI], content_type="application/json")


async def page(request: web.Request) -> web.Response:
    """A page that shows the description, and can send requests."""
    return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": CSP})


async def asset(request: web.Request) -> web.StreamResponse:
    """A part of that page."""
    name = request.match_info["file"]
    if name == _START:
        return web.Response(text=_SCRIPT, content_type="text/javascript")
    if name not in _TYPES:
        raise NotFound("There is no such file.")
    path = Path(offapi.__file__).with_name(name)
    return web.FileResponse(path, headers={"Content-Type": f"{_TYPES[name]}; charset=utf-8"})
