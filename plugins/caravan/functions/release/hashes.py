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


def templates_of(release: Release, digests: Mapping[str, str]) -> dict[str, str]:
    """Those that its texts may be put into. `digests`: of every file, by its path below include/templates/release.

    Of its outlets nothing is asked: one with a fault may be of any kind, and a fault that comes and goes is not to void
    an approval. Mail has a list.
    """
    kinds = {"site", "mail"} if release.list else {"site"}
    found = {}
    for path, digest in digests.items():
        *tag, kind, _ = path.split("/")
        read = not tag or any(f"{locale}-".startswith(f"{tag[0]}-") for locale in release.bodies)
        if kind in kinds and read:
            found[path] = digest
    return found
