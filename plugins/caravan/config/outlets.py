"""include/config/outlets: accounts, folders and lists that releases go to, one file each.

No file holds a secret: `connection` names where that is (docs/connections.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import langcodes
from email_validator import EmailNotValidError, validate_email
from langcodes.tag_parser import LanguageTagError
from pydantic import AfterValidator, Field, model_validator

from caravan.config.document import Document, files_in, read
from caravan.config.frozen import Frozen
from caravan.config.lists import PeopleFile
from caravan.config.places import CONN_ID, S3_DEFAULT, place_problem
from caravan.config.validation import validate
from caravan.core.connections import is_private
from caravan.core.errors import Fault, in_order, nearest

FOLDER = "outlets"
CODE = r"^[a-z][a-z0-9_]{0,62}$"


def one_line(text: str) -> str:
    """The text; ValueError for none, or one that would start another header where it is put into one."""
    if not text.strip():
        raise ValueError("is empty")
    if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", text):
        raise ValueError("has a line break or a control character; write it on one line")
    return text


def web_address(text: str) -> str:
    """An absolute http(s) address without login; ValueError for anything else."""
    try:
        parts = urlsplit(text)
        has_login, host = "@" in parts.netloc, parts.hostname
        _ = parts.port  # a ValueError if it is none
    except ValueError as error:
        raise ValueError(f"'{text}' is no address (like https://www.example.com)") from error
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\"<>\\]", text):
        raise ValueError(f"'{text}' is no address (like https://www.example.com)")
    if has_login:
        raise ValueError("a login has no place in an address; put it into the connection")
    return text


def language_tag(text: str) -> str:
    """A BCP 47 tag as it is written; ValueError for anything else."""
    try:
        is_valid, standard = langcodes.tag_is_valid(text), langcodes.standardize_tag(text)
    except LanguageTagError:
        is_valid, standard = False, text
    if not is_valid:
        raise ValueError(f"'{text}' is no BCP 47 tag of a language (like pt-BR)")
    if standard != text:
        raise ValueError(f"'{text}' is written {standard}")
    return text


def _site_address(text: str) -> str:
    parts = urlsplit(web_address(text))
    if parts.query or parts.fragment:
        raise ValueError(f"'{text}' has a query or an anchor; pages lie below it")
    return text.rstrip("/")


def _clickable_address(text: str) -> str:
    if not is_private(web_address(text)):
        raise ValueError(f"'{text}' has to begin with https:// (RFC 8058): mail programs press no other")
    return text


def _mail_address(text: str) -> str:
    try:
        validate_email(one_line(text), check_deliverability=False, allow_display_name=True, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"'{text}' is no mail address (like News <news@example.com>)") from error
    return text


Line = Annotated[str, AfterValidator(one_line)]
Address = Annotated[str, AfterValidator(web_address)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
Rate = Annotated[Decimal, Field(gt=0, le=1000)]
_Clickable = Annotated[str, AfterValidator(_clickable_address)]
_Connection = Annotated[str, Field(pattern=CONN_ID)]
_OutletCode = Annotated[str, Field(pattern=CODE)]
_IndexNowKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,128}$")]
_Listed = Annotated[tuple[str, ...], Field(min_length=1)]


class OutletAccount(Frozen):
    """`markets`, `locales`: those it serves, all when absent; a locale stands for those that begin with it."""

    medium: ClassVar[str] = "referral"
    """What links in it carry as utm_medium."""
    is_mail: ClassVar[bool] = False
    is_notice: ClassVar[bool] = False
    """It tells others of a site's pages: after they are there."""
    edits: ClassVar[bool] = False
    """A post is changed and taken back under the id that the service gave it."""
    takes_images: ClassVar[bool] = True
    """Else it gets their addresses on the site."""

    code: _OutletCode
    name: Line
    kind: str
    enabled: bool = True
    markets: _Listed | None = None
    locales: Annotated[tuple[Annotated[str, AfterValidator(language_tag)], ...], Field(min_length=1)] | None = None

    def serves(self, market: str, locale: str) -> bool:
        return self.serves_market(market) and (
            self.locales is None or any(locale == each or locale.startswith(f"{each}-") for each in self.locales)
        )

    def serves_market(self, market: str) -> bool:
        return self.markets is None or market in self.markets


class WebPlace(Frozen):
    """Where files are put for a web server: a folder, or a bucket."""

    folder: Line | None = None
    """A relative one is in CARAVAN_HOME."""
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    prefix: str = ""
    connection: _Connection = S3_DEFAULT
    """Of the bucket."""

    @model_validator(mode="after")
    def _one_place(self) -> WebPlace:
        if (self.folder is None) == (self.bucket is None):
            raise ValueError("give either `folder` or `bucket`: where its files are put")
        if self.folder is not None and self.prefix:
            raise ValueError("`prefix` is of a bucket; put it into `folder`")
        if self.bucket is not None and (problem := place_problem(f"s3://{self.bucket}/{self.prefix}")):
            raise ValueError(problem)
        return self


class SiteOutlet(OutletAccount, WebPlace):
    """Pages, feeds and sitemaps of our own."""

    medium = "site"
    kind: Literal["site"]
    base_url: Annotated[str, AfterValidator(_site_address)]
    publisher: Line
    hub: Address | None = None
    """A WebSub hub that the feeds name."""
    indexnow_key: _IndexNowKey | None = None


class WordPressOutlet(OutletAccount):
    medium = "site"
    kind: Literal["wordpress"]
    connection: _Connection
    category: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,200}$")] | None = None
    """Its slug in WordPress."""
    status: Literal["publish", "draft", "private", "pending"] = "publish"
    withdrawn_status: Literal["draft", "private"] = "draft"


class EventQueue(Frozen):
    """An SQS queue that SES tells of mails in. `topics`: ARNs of the SNS topics that may write into it; `accounts`: AWS
    accounts that send."""

    connection: _Connection
    url: Address
    topics: tuple[str, ...] = ()
    accounts: tuple[Annotated[str, Field(pattern=r"^[0-9]{12}$")], ...] = ()


class BounceMailbox(Frozen):
    """Where bounces and complaints come to, over IMAP."""

    connection: _Connection
    folder: Line = "INBOX"


class MailOutlet(OutletAccount):
    """`per_second`: messages that the account takes. `seeds`: a file of addresses of ours, which get each mail in every
    language as soon as it is planned."""

    medium = "email"
    is_mail = True
    takes_images = False
    connection: _Connection
    sender: MailAddress
    postal_address: Line
    """In one line: the laws of many markets ask for it in every mail."""
    reply_to: MailAddress | None = None
    unsubscribe_url: _Clickable
    confirm_url: _Clickable | None = None
    """Where those confirm who signed up; the same program serves it."""
    per_second: Rate = Decimal(1)
    per_domain_per_second: Rate | None = None
    seeds: PeopleFile | None = None
    events: EventQueue | None = None
    bounces: BounceMailbox | None = None


class SmtpOutlet(MailOutlet):
    kind: Literal["smtp"]


class SesOutlet(MailOutlet):
    kind: Literal["ses"]
    configuration_set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None


class MastodonOutlet(OutletAccount):
    medium = "social"
    edits = True
    kind: Literal["mastodon"]
    connection: _Connection
    visibility: Literal["public", "unlisted", "private"] = "public"
    max_characters: Annotated[int, Field(ge=50, le=100_000)] = 500
    """Of its server; 500 unless that says otherwise."""


class BlueskyOutlet(OutletAccount):
    """The connection's login is the handle."""

    medium = "social"
    edits = True
    kind: Literal["bluesky"]
    connection: _Connection


class WebhookOutlet(OutletAccount):
    takes_images = False
    kind: Literal["webhook"]
    connection: _Connection


class WebSubOutlet(OutletAccount):
    """Tells a hub that the feeds of a site have changed."""

    is_notice = True
    kind: Literal["websub"]
    hub: Address
    site: _OutletCode | None = None
    """Outlet whose feeds they are; that of the release when absent."""


class IndexNowOutlet(OutletAccount):
    """Tells search engines which pages of a site have changed."""

    is_notice = True
    kind: Literal["indexnow"]
    key: _IndexNowKey
    """No secret: the site shows it, which proves whose it is."""
    endpoint: Address = "https://api.indexnow.org/indexnow"
    """It tells the other search engines."""
    site: _OutletCode | None = None
    """Outlet whose pages of releases they are. Those of a crawled site need none: its file names this outlet."""


OUTLETS: Mapping[str, type[OutletAccount]] = {
    "site": SiteOutlet,
    "wordpress": WordPressOutlet,
    "smtp": SmtpOutlet,
    "ses": SesOutlet,
    "mastodon": MastodonOutlet,
    "bluesky": BlueskyOutlet,
    "webhook": WebhookOutlet,
    "websub": WebSubOutlet,
    "indexnow": IndexNowOutlet,
}
"""By `kind`."""


def load_outlets(
    config_dir: Path, markets: Collection[str] | None = None
) -> tuple[dict[str, OutletAccount], list[Fault]]:
    """The outlets that are free of faults, by code, and every fault of the others. No folder: none.

    `markets`: their codes, to find those that there are not. Misconfigured when the folder cannot be read.
    """
    found: dict[str, OutletAccount] = {}
    documents: dict[str, Document] = {}
    faults: list[Fault] = []
    for path in files_in(config_dir / FOLDER):
        document, more = read(path, f"{FOLDER}/{path.name}")
        faults += more
        if document is None:
            continue
        documents[path.stem] = document
        outlet, wrong = _outlet(document, path.stem, markets)
        faults += wrong
        if outlet is not None and not more:
            found[outlet.code] = outlet
    sites = {code for code, document in documents.items() if document.text("kind") == "site"}
    for code, document in documents.items():
        site = document.text("site")
        if site is not None and site not in sites and document.text("kind") in ("websub", "indexnow"):
            faults.append(document.fault(("site",), f"there is no outlet '{site}' of kind site{nearest(site, sites)}"))
            found.pop(code, None)
    return found, in_order(faults)


def _outlet(document: Document, stem: str, markets: Collection[str] | None) -> tuple[OutletAccount | None, list[Fault]]:
    faults = list(_own_faults(document, stem, markets))
    kind = document.text("kind")
    # Without a kind all else would follow from that: each has settings of its own.
    if kind is None:
        return None, [*faults, document.fault(("kind",), f"is required{nearest('', OUTLETS)}")]
    if kind not in OUTLETS:
        return None, [*faults, document.fault(("kind",), f"'{kind}' is no kind of outlet{nearest(kind, OUTLETS)}")]
    outlet, more = validate(document, OUTLETS[kind])
    faults += more
    return (None if faults else outlet), faults


def _own_faults(document: Document, stem: str, markets: Collection[str] | None) -> Iterator[Fault]:
    code = document.text("code")
    if code is not None and code != stem:
        yield document.fault(("code",), f"'{code}' differs from the file's name; rename the file to {code}.yml")
    named = document.value("markets")
    for index, market in enumerate(named if isinstance(named, list) and markets is not None else []):
        if isinstance(market, str) and market not in (markets or ()):
            message = f"there is no market '{market}'{nearest(market, markets or ())}"
            yield document.fault(("markets", index), message)
