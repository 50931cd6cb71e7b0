"""What DAGs tell each other: an asset event says that something may be new, never what."""

from __future__ import annotations

from airflow.sdk import Asset

SALES_ORDERS = Asset(name="sales_orders", uri="caravan://sales/orders")
"""Orders and order lines of some slices were rebuilt; which ones is in ops.dirty_slice."""

RELEASE_APPROVALS = Asset(name="release_approvals", uri="caravan://release/approvals")
"""Somebody has approved a release on Airflow's page."""

SITE_CRAWLS = Asset(name="site_crawls", uri="caravan://site/crawls")
"""Own sites were crawled and audited; which slices are stale is in ops.dirty_slice."""
