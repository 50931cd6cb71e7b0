"""`caravan check`: every fault of configuration, models and templates in one reading."""

from __future__ import annotations

from pathlib import Path

from caravan.core.errors import Fault


def find_faults(config_dir: Path, sql_dir: Path, templates_dir: Path) -> list[Fault]:
    """All faults, in the order configuration, models, templates."""
    from caravan.config import loader
    from caravan.warehouse import lint

    return [*loader.check(config_dir), *lint.check_models(sql_dir), *template_faults(templates_dir)]


def template_faults(templates_dir: Path) -> list[Fault]:
    """Syntax errors of the Jinja templates in the folder, with their lines."""
    from jinja2 import Environment, TemplateSyntaxError

    environment = Environment(autoescape=True)
    faults = []
    for path in sorted(templates_dir.rglob("*.j2")):
        where = path.relative_to(templates_dir.parent)
        try:
            environment.parse(path.read_text(encoding="utf-8"))
        except TemplateSyntaxError as error:
            faults.append(Fault(f"{where}:{error.lineno}", str(error.message)))
        except UnicodeDecodeError as error:
            faults.append(Fault(str(where), f"is no UTF-8 text: {error.reason} at byte {error.start}"))
    return faults
