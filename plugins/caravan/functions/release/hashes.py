"""What is approved: one hash over everything that a revision says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from caravan.config.releases import Release


def content_hash(release: Release, templates: Mapping[str, str]) -> str:
    """SHA-256, hexadecimal, over `release.yml` and all texts as they are written, images, and the versions of the
    templates that they are put into. An approval stands in a table of its own, so nothing has to be left out.

    The files as written, not as understood: a default that a later version of Caravan brings voids no approval.
    """
    content = {
        "release": release.written,
        "bodies": {
            locale: {"front": body.written, "text": hashlib.sha256(body.text.encode()).hexdigest()}
            for locale, body in release.bodies.items()
        },
        "images": {name: image.sha256 for name, image in release.images.items()},
        "templates": dict(templates),
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
