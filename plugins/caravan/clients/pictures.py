"""Pictures of a release, read to be sent: the very bytes that were approved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from caravan.core.errors import Retryable

SOON = timedelta(minutes=1)
"""The run after this one sees for itself that the files are not what was approved, and holds all of the release."""


def read_picture(image: Mapping[str, Any]) -> bytes:
    """`image`: of a payload, with `path` and `sha256`. A run compares files with what was approved when it begins; this
    one may have been replaced since. Raises Retryable."""
    path = Path(image["path"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Retryable(f"picture {path.name} cannot be read: {error.strerror}", SOON) from None
    # One that was planned before payloads had a hash is nobody's word for what it was.
    if hashlib.sha256(content).hexdigest() != image.get("sha256"):
        told = f"picture {path.name} is not what was approved: put it back, or approve it under a new revision"
        raise Retryable(told, SOON)
    return content
