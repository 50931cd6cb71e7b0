"""The campaigns of the demo's shops: what they cost, which orders claim to come from them, and which really do.

Of two groups of orders an origin tells the campaign: those that would not be without it, `lift` a day on average, and
those that would have come anyway and happened to take that way, `claim` of the other orders of its days. Attribution by
the last click counts both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from caravan.demo.world import Origin

TO_KNOWN = ("email", "message")
"""Methods that reach only those who bought before."""
_WEEKDAYS = tuple(map(Decimal, ("1", "1", "0.95", "1.1", "1.25", "0.7", "0.6")))
"""Of the usual spend, from Monday on."""
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Campaign:
    """`method`: a code of methods.yml. `begins`, `ends`: so many days before the world's last one; both days are in.
    `spend`: of a usual day, in the channel's currency; of mail, what sending costs is left out. `lift`: orders a day
    that would not be without it. `claim`: the share of all other orders that come by it all the same."""

    code: str
    method: str
    channel_code: str
    begins: int
    ends: int
    origin: Origin
    spend: Decimal
    lift: float
    claim: float


@dataclass(frozen=True)
class Running:
    """A campaign on the days of one world. `scale`: so many times the lift and the spend."""

    campaign: Campaign
    first: date
    last: date
    scale: float = 1

    @property
    def origin(self) -> Origin:
        return self.campaign.origin

    @property
    def lift(self) -> float:
        return self.campaign.lift * self.scale

    @property
    def claim(self) -> float:
        return self.campaign.claim

    @property
    def is_to_known(self) -> bool:
        return self.campaign.method in TO_KNOWN

    def is_on(self, day: date) -> bool:
        return self.first <= day <= self.last

    def spend(self) -> Mapping[date, Decimal]:
        """By day, in cents of the channel's currency."""
        days = [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]
        usual = self.campaign.spend * Decimal(str(self.scale))
        return {day: (usual * _WEEKDAYS[day.weekday()]).quantize(_CENT, ROUND_HALF_UP) for day in days}


_GOOGLE, _INSTAGRAM = "https://www.google.com/", "https://www.instagram.com/"

CAMPAIGNS = (
    Campaign(
        "gb_search_autumn",
        "search_ad",
        "shop_gb",
        70,
        22,
        Origin("google", "cpc", "autumn", "Cj0KCQ", _GOOGLE),
        Decimal(120),
        lift=5,
        claim=0.08,
    ),
    Campaign(  # while the one before runs
        "gb_social_makers",
        "social_ad",
        "shop_gb",
        49,
        29,
        Origin("instagram", "paid_social", "makers", "", _INSTAGRAM),
        Decimal(75),
        lift=2.5,
        claim=0.05,
    ),
    Campaign(  # who looks for the shop's name would have found it anyway
        "us_search_brand",
        "search_ad",
        "shop_us",
        80,
        38,
        Origin("google", "cpc", "brand", "Cj0KCQ", _GOOGLE),
        Decimal(160),
        lift=0,
        claim=0.2,
    ),
    Campaign(
        "us_affiliate_trails",
        "affiliate",
        "shop_us",
        33,
        24,
        Origin("trailnotes", "affiliate", "fall-trails", "", "https://trailnotes.example/"),
        Decimal(90),
        lift=4,
        claim=0.04,
    ),
    Campaign(
        "de_comparison_kitchen",
        "comparison",
        "shop_de",
        56,
        8,
        Origin("idealo", "comparison", "kueche", "", "https://www.idealo.de/"),
        Decimal(65),
        lift=3,
        claim=0.06,
    ),
    Campaign(
        "fr_social_salon",
        "social_ad",
        "shop_fr",
        18,
        5,
        Origin("facebook", "paid_social", "salon", "", "https://www.facebook.com/"),
        Decimal(110),
        lift=2.5,
        claim=0.07,
    ),
    Campaign(
        "se_email_october",
        "email",
        "webshop_se",
        12,
        6,
        Origin("newsletter", "email", "october", "", ""),
        Decimal(0),
        lift=5,
        claim=0.1,
    ),
)


def running(channel_code: str, days: Sequence[date], scale: float = 1) -> list[Running]:
    """The channel's campaigns that begin and end on these days of a world."""
    found = [
        Running(each, days[-1] - timedelta(days=each.begins), days[-1] - timedelta(days=each.ends), scale)
        for each in CAMPAIGNS
        if each.channel_code == channel_code
    ]
    return [each for each in found if each.first >= days[0]]
