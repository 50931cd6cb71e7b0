"""Caravan: cross-border online marketing as scheduled pipelines over one warehouse."""

from pathlib import Path

__version__ = "0.1.0"

PROJECT_ROOT = Path(__file__).resolve().parents[2]
INCLUDE_DIR = PROJECT_ROOT / "include"
SQL_DIR = INCLUDE_DIR / "sql"
TEMPLATES_DIR = INCLUDE_DIR / "templates"
EXPECTATIONS_DIR = INCLUDE_DIR / "expectations"
