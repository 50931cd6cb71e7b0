"""Documentation that Debian packages put on a machine, each as the site that it was made for."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TRANSLATIONS = ("de", "fr", "it", "ja", "ru")
"""Of the developers' reference."""


@dataclass(frozen=True)
class DocSite:
    """`package`: whose version tells which text is there. `start`: path of the first page."""

    code: str
    package: str
    folder: Path
    start: str = "index.html"

    @property
    def version(self) -> str | None:
        """As installed; None where the package or its documentation is absent."""
        return version_of(self.package) if (self.folder / self.start).is_file() else None

    @property
    def translations(self) -> list[str]:
        """Those in folders of their own, which no page leads to."""
        known = TRANSLATIONS if self.code == "developers-reference" else ()
        return [each for each in known if (self.folder / each).is_dir()]

    @property
    def told_by_server(self) -> list[str]:
        """Paths that no page leads to."""
        return [f"/{each}/{self.start}" for each in self.translations]

    @property
    def directives(self) -> str:
        """For nginx."""
        return f"root {self.folder}; {self._alternates}"

    @property
    def _alternates(self) -> str:
        """The developers' reference names its translations nowhere: its server does, in Link headers."""
        if not (found := self.translations):
            return ""
        here = "<$scheme://$http_host"
        links = [f'{here}/$page>; rel="alternate"; hreflang="en"']
        links += [f'{here}/{each}/$page>; rel="alternate"; hreflang="{each}"' for each in found]
        headers = " ".join(f"add_header Link '{link}';" for link in links)
        return f"location ~ ^/(?:(?:{'|'.join(found)})/)?(?<page>[a-z0-9-]+[.]html)$ {{ {headers} }}"


SITES = (
    DocSite("developers-reference", "developers-reference", Path("/usr/share/developers-reference")),
    DocSite("debian-reference", "debian-reference-common", Path("/usr/share/debian-reference")),
    DocSite("postgresql", "postgresql-doc-15", Path("/usr/share/doc/postgresql-doc-15/html")),
    DocSite("libxslt", "libxslt1-dev", Path("/usr/share/doc/libxslt1-dev/html"), "index.html"),
    DocSite("nodejs", "nodejs", Path("/usr/share/doc/nodejs/api")),
    DocSite("valgrind", "valgrind", Path("/usr/share/doc/valgrind/html")),
    DocSite("libffi", "libffi-dev", Path("/usr/share/doc/libffi8/html")),
    DocSite("libtasn1", "libtasn1-doc", Path("/usr/share/gtk-doc/html/libtasn1")),
)


@cache
def version_of(package: str) -> str | None:
    if shutil.which("dpkg-query") is None:
        return None
    command = ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}${Version}", package]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return told[3:] if told.startswith("ii ") else None
