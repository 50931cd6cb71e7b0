"""What Caravan adds to Airflow's UI: an entry of the navigation, and a tab on each DAG run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The pages, loaded with the first request: every task loads the plugins, and would pay a second for them."""
    from caravan.orchestration.pages import app as pages

    await pages(scope, receive, send)


FASTAPI_APPS = [{"app": app, "url_prefix": "/caravan", "name": "Caravan"}]
# Relative to Airflow's own address, which may have a path before it.
EXTERNAL_VIEWS = [
    {
        "name": "Caravan",
        "href": "caravan/",
        "destination": "nav",
        "url_route": "caravan",
        "nav_top_level": True,
    },
    {
        "name": "Evidence",
        "href": "caravan/run?dag={DAG_ID}&run={RUN_ID}",
        "destination": "dag_run",
        "url_route": "caravan-run",
    },
]
