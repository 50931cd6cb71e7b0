"""`caravan check`: every fault of configuration, models and templates in one reading."""

from __future__ import annotations

from pathlib import Path

from caravan import EXPECTATIONS_DIR
from caravan.core.errors import Fault, Misconfigured


def find_faults(config_dir: Path, sql_dir: Path, templates_dir: Path) -> list[Fault]:
    """All faults, in the order configuration, models, expectations, templates."""
    from caravan.config import loader
    from caravan.warehouse import lint, suites

    return [
        *loader.check(config_dir),
        *lint.check_models(sql_dir),
        *suites.check_suites(EXPECTATIONS_DIR, sql_dir),
        *mart_faults(config_dir, sql_dir),
        *template_faults(templates_dir),
    ]


def mart_faults(config_dir: Path, sql_dir: Path) -> list[Fault]:
    """Published marts that do not exist or hold personal data; nothing while configuration or models are broken."""
    from caravan.config import loader
    from caravan.reporting.publish import check_marts
    from caravan.warehouse.catalog import load_models

    try:
        project = loader.load(config_dir).project
        models = load_models(sql_dir).models
    except Misconfigured:
        return []  # told by the checks of configuration and models
    try:
        check_marts(
            project.published_marts, {model.name: {c.name: c.personal for c in model.columns} for model in models}
        )
    except Misconfigured as error:
        return list(error.faults)
    return []


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
