"""One crawl by somebody else's crawler, run by crawl.py with the Python of their environment. Prints its peak memory.

    python crawl_peer.py advertools|scrapy URL OUTPUT

Both ask for 16 pages at once, as fast as they are answered, and follow links of this host alone. What their crawl
leads out to is refused twice: by its scope, and by a proxy at a port where nobody listens.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SETTINGS = {
    "CONCURRENT_REQUESTS": 16,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 16,
    "DOWNLOAD_DELAY": 0,
    "AUTOTHROTTLE_ENABLED": False,
    "ROBOTSTXT_OBEY": True,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "ERROR",
}
NOBODY = "http://127.0.0.1:9"


def advertools(url: str, output: str) -> None:
    """As its documentation has it: every column that it makes."""
    import advertools as adv

    host = urlsplit(url).hostname
    own = f"^http://{re.escape(urlsplit(url).netloc)}/"
    adv.crawl(
        url, output, follow_links=True, allowed_domains=[host], include_url_regex=own, custom_settings=dict(SETTINGS)
    )


def scrapy(url: str, output: str) -> None:
    """The least that is a crawl: address, status and title of each page, and its links followed."""
    from scrapy import Spider
    from scrapy.crawler import CrawlerProcess
    from scrapy.http import Response, TextResponse
    from scrapy.linkextractors import LinkExtractor

    links = LinkExtractor(allow=f"^http://{re.escape(urlsplit(url).netloc)}/")

    class Bare(Spider):
        name = "bare"
        start_urls = [url]
        allowed_domains = [urlsplit(url).hostname]

        def parse(self, response: Response) -> Iterator[Any]:
            if isinstance(response, TextResponse):
                title = response.xpath("//title/text()").get()
                yield {"url": response.url, "status": response.status, "title": title}
                yield from response.follow_all(links.extract_links(response), callback=self.parse)

    process = CrawlerProcess({**SETTINGS, "FEEDS": {output: {"format": "jsonlines"}}})
    process.crawl(Bare)
    process.start()


def main() -> None:
    peer, url, output = sys.argv[1:]
    for name in ("http_proxy", "https_proxy"):
        os.environ[name] = os.environ[name.upper()] = NOBODY
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = str(urlsplit(url).hostname)
    # advertools runs `scrapy`, which stands beside this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    {"advertools": advertools, "scrapy": scrapy}[peer](url, output)
    print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
