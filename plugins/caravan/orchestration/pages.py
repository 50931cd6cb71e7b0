"""The report and the evidence of each run, behind Airflow's own login.

Read per request: the report is written, and settings may name another one, while the API server runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from caravan.assembly import pages
from caravan.assembly.pages import Page

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
HEADERS = {
    # The report is markup, style and images of its own. Of scripts only the one that filters issues runs, known by its
    # hash: whatever else a page of a crawled site may have smuggled in does not. Nobody else may frame it.
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self'; "
    f"script-src {pages.filter_source()}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-cache, private",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

# An app of a plugin is open to everybody by default, its schema and documentation with it.
app = FastAPI(
    title="Caravan",
    openapi_url=None,
    docs_url=None,
    redoc_url=None,
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
)


@app.middleware("http")
async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


@app.api_route("/run", methods=["GET", "HEAD"])
def run(dag: str = "", run: str = "") -> Response:
    return _html(pages.run_page(dag, run))


# Whatever has no route of its own: otherwise FastAPI answers it, and wrong methods, before anybody has logged in.
@app.api_route("/{path:path}", methods=METHODS)
async def report(request: Request, path: str) -> Response:
    if request.method not in ("GET", "HEAD"):
        raise HTTPException(405, headers={"Allow": "GET, HEAD"})
    if is_hidden(path):
        return _html(pages.no_page(path))
    files = StaticFiles(directory=pages.report_dir(), html=True, check_dir=False)
    try:
        # Follows no link out of the folder, answers 304 and ranges.
        return await files.get_response(path or ".", request.scope)
    except HTTPException:
        return _html(pages.no_report() if path in ("", "index.html") else pages.no_page(path))


def is_hidden(path: str) -> bool:
    """Dot files, of which a report half written is one, and whatever climbs."""
    return "\\" in path or any(part.startswith(".") for part in PurePosixPath(path).parts)


def _html(page: Page) -> Response:
    return HTMLResponse(page.html, page.status)
