"""The demo's world: who is watched, with which queries, and when the crawler goes round. All invented."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporal_pipeline.crosshot.demo.texts import AI, BATTERIES, DIARY, TIDES, TRAINS, Voice

SEED = 20260301
END = datetime(2026, 3, 1, tzinfo=UTC)
START = END - timedelta(days=30)
INTERVAL = timedelta(hours=6)
# Rounds are numbered from 1; the last of the 30 days is at END, two more follow one by one.
LAST_ROUND = 120
EXTRA_ROUNDS = (121, 122)
# No crawler ran on this day; the next round looks back as far as one and a half intervals.
SILENT_DAY = datetime(2026, 2, 12, tzinfo=UTC)
LONGEST_LOOK_BACK = INTERVAL * 1.5


@dataclass(frozen=True)
class Query:
    """A search: how much of the topic's posts it finds, and how many of those are about the topic."""

    text: str
    platform: str
    share: float
    relevant: float

    @property
    def label(self) -> str:
        return "searcher:web" if self.platform == "web" else f"crawler:{self.platform}"


@dataclass(frozen=True)
class DemoTopic:
    """A topic; `posts_per_hour` is the mean over a day, `active_days` ends its crawls early."""

    key: str
    name: str
    keywords: tuple[str, ...]
    hashtags: tuple[str, ...]
    voice: Voice
    queries: tuple[Query, ...]
    posts_per_hour: float
    status: str = "active"
    active_days: int = 32

    def record(self) -> dict[str, Any]:
        """The topic as a line of an export."""
        return {
            "kind": "topic",
            "key": self.key,
            "name": self.name,
            "keywords": list(self.keywords),
            "platforms": sorted({query.platform for query in self.queries}),
            "created_at": (START - timedelta(days=1)).isoformat(),
            "status": self.status,
        }


@dataclass(frozen=True)
class DemoUser:
    """A user, whose timeline is crawled; some posts may also be found by a topic's search."""

    key: str
    name: str
    username: str
    platform: str
    voice: Voice
    posts_per_day: float
    found_by: str | None = None

    def record(self) -> dict[str, Any]:
        """The user as a line of an export."""
        return {
            "kind": "user",
            "key": self.key,
            "name": self.name,
            "username": self.username,
            "platform": self.platform,
            "profile_url": f"https://{self.platform}.example/{self.username}",
            "created_at": (START - timedelta(days=1)).isoformat(),
        }


TOPICS = (
    DemoTopic(
        key="demo/solid-state-batteries",
        name="Solid-state batteries",
        keywords=("solid-state battery", "solid electrolyte", "#SolidState"),
        hashtags=("SolidState", "Batteries"),
        voice=BATTERIES,
        queries=(
            Query("solid-state battery", "x", 0.42, 0.97),
            Query("#SolidState", "x", 0.22, 0.90),
            Query("solid electrolyte research", "web", 0.14, 0.80),
            Query("battery", "x", 0.22, 0.0),
            Query("dendrite suppression", "x", 0.0, 0.0),
        ),
        posts_per_hour=2.4,
    ),
    DemoTopic(
        key="demo/artificial-intelligence",
        name="人工智能",
        keywords=("人工智能", "大模型", "#AI"),
        hashtags=("AI", "人工智能"),
        voice=AI,
        queries=(
            Query("人工智能", "xhs", 0.45, 0.95),
            Query("大模型", "x", 0.33, 0.85),
            Query("智能", "xhs", 0.22, 0.40),
        ),
        posts_per_hour=2.1,
    ),
    DemoTopic(
        key="demo/night-trains",
        name="Night trains in Europe",
        keywords=("night train", "sleeper train", "#NightTrain"),
        hashtags=("NightTrain", "RailTravel"),
        voice=TRAINS,
        queries=(
            Query("night train OR sleeper train", "x", 0.58, 0.90),
            Query("overnight rail", "web", 0.22, 0.55),
            Query("couchette", "x", 0.20, 0.45),
        ),
        posts_per_hour=2.0,
    ),
    DemoTopic(
        key="demo/tidal-energy",
        name="Tidal energy",
        keywords=("tidal energy", "tidal turbine"),
        hashtags=("TidalEnergy",),
        voice=TIDES,
        queries=(
            Query("tidal energy", "x", 0.6, 0.9),
            Query("tidal turbine", "web", 0.4, 0.7),
        ),
        posts_per_hour=0.5,
        status="paused",
        active_days=8,
    ),
)
USERS = (
    DemoUser(
        key="demo/ada-verne",
        name="Ada Verne",
        username="ada_verne_cells",
        platform="x",
        voice=BATTERIES,
        posts_per_day=4.0,
        found_by="demo/solid-state-batteries",
    ),
    DemoUser(
        key="demo/lin-xiaoman",
        name="林小满",
        username="linxiaoman_notes",
        platform="xhs",
        voice=DIARY,
        posts_per_day=3.0,
    ),
)


def round_time(number: int) -> datetime:
    """When round `number` begins."""
    return START + number * INTERVAL


def crawled(number: int) -> bool:
    """Whether the crawler ran at all in round `number`."""
    return not SILENT_DAY <= round_time(number) < SILENT_DAY + timedelta(days=1)


def look_back(number: int) -> datetime:
    """How far back the searches of round `number` reach: to the round before, if that is not too long ago."""
    before = next(earlier for earlier in range(number - 1, -2, -1) if crawled(earlier))
    return max(round_time(before), round_time(number) - LONGEST_LOOK_BACK)
