"""An assembly without a warehouse: records each call, and fails where a test says so."""

from __future__ import annotations

import logging
import sys
import types
from collections import deque
from typing import Any

import caravan.assembly

log = logging.getLogger("caravan.assembly.stand_in")

CHANNELS = ["shop_de", "shop_fr", "shop_jp"]
ANSWERS: dict[str, dict[str, Any]] = {
    "sales": {
        "list_channels": CHANNELS,
        "collect": {"loaded": 3},
        "stage": {"stage": 1},
        "validate": {"checked": 1},
        "build": {"built": 1},
        "verdict": None,
    },
    "reporting": {
        "drain": {"built": 1},
        "publish": "marts.duckdb",
        "upload": "",
        "report": "index.html",
        "verdict": None,
    },
}


class StandIn:
    """`calls`: (function, arguments) in the order they came. `errors`: what to raise, by function or by
    function and channel; each once, in order, the last one for ever."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.errors: dict[str | tuple[str, str], deque[BaseException | None]] = {}
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        """What the callbacks were called for, beside the steps: (function, arguments)."""

    def fail(self, function: str, *errors: BaseException | None, channel: str | None = None) -> None:
        self.errors[(function, channel) if channel else function] = deque(errors)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def arguments(self, function: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments in self.calls if name == function]

    def modules(self) -> dict[str, types.ModuleType]:
        found = {}
        for part, functions in ANSWERS.items():
            module = types.ModuleType(f"caravan.assembly.{part}")
            for name, answer in functions.items():
                setattr(module, name, self._function(f"{part}.{name}", answer))
            found[part] = module
        found["incidents"] = types.ModuleType("caravan.assembly.incidents")
        for name in ("task_failed", "run_ended"):
            setattr(found["incidents"], name, lambda *arguments, name=name: self.told.append((name, arguments)))
        return found

    def _function(self, name: str, answer: Any) -> Any:
        def called(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            log.info("%s was called", name)
            errors = self.errors.get((name, str(arguments[-1]))) if arguments else None
            errors = errors or self.errors.get(name)
            error = (errors.popleft() if len(errors) > 1 else errors[0]) if errors else None
            if error is not None:
                raise error
            return answer

        return called


def install() -> StandIn:
    """For a process of its own; tests use the `assembly` fixture."""
    stand_in = StandIn()
    for part, module in stand_in.modules().items():
        sys.modules[module.__name__] = module
        setattr(caravan.assembly, part, module)
    return stand_in
