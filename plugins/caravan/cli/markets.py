"""`caravan markets ...`: reference data of markets, step by step."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from caravan.cli.steps import BY_HAND, RunId, closing_run, planned, say, scope, show
from caravan.core.errors import Rejected

app = typer.Typer(help="Exchange rates and other reference data of markets.", no_args_is_help=True)

Reload = Annotated[
    bool,
    typer.Option("--reload", help="Read files again that were loaded before: after a setting of fx was changed."),
]


@app.callback()
def group() -> None:
    """Keeps `rates` a command of its own while it is the only one."""


@app.command()
def rates(reload: Reload = False, run_id: RunId = None) -> None:
    """Load new exchange rates, bundled, fetched and from incoming/rates, and tell what is wrong with them."""
    from caravan.assembly import markets as steps

    asked = scope(None, None, run_id=run_id)
    with planned(asked):
        with closing_run(asked):
            steps.load_bundled(asked.run_id, BY_HAND)
            for name, collect in (("fetched", steps.collect_fetched), ("user", steps.collect_user)):
                say(name)
                # What is refused was told when it was met; verdict names it again.
                with suppress(Rejected):
                    show(collect(asked.run_id, BY_HAND, reload))
            say("built")
            show(steps.build(asked.run_id, BY_HAND))
        steps.verdict(asked.run_id, BY_HAND)
