import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.crosshot.export import BadLine, parse_line, platform_time
from temporal_pipeline.crosshot.records import Content, Task, Topic, User, identity
from tests.crosshot.exports import at, content, task, topic, user


def parse(record: dict[str, Any]) -> Any:
    return parse_line(json.dumps(record).encode())


def test_each_kind_becomes_a_record_that_knows_its_time_and_references() -> None:
    assert isinstance(parse(topic()), Topic)
    assert isinstance(parse(user()), User)
    search = parse(task(user="u"))
    assert isinstance(search, Task)
    assert search.references == (("topic", identity("topic", "t")), ("user", identity("user", "u")))
    post = parse(content())
    assert isinstance(post, Content)
    assert post.references == (("task", identity("task", "s")), ("topic", identity("topic", "t")))
    assert post.time == at(3)


def test_ids_follow_from_kind_and_key_and_never_change() -> None:
    assert str(identity("topic", "t")) == "b6e0b367-9a15-5905-aa50-9205d5956e90"
    assert identity("topic", "t") != identity("user", "t")
    assert identity("content", "x", "1y") != identity("content", "x1", "y")


@pytest.mark.parametrize("missing", ["absent", "null"])
def test_optional_keys_may_be_absent_or_null(missing: str) -> None:
    optional = {
        "topic": ["status"],
        "user": ["username", "status"],
        "task": ["query", "username", "topic", "user", "started_at", "completed_at", "found"],
        "content": [
            "topic", "user", "published_at", "author_username", "text", "lang", "hashtags", "metrics",
        ],
    }  # fmt: skip
    for record in (topic(), user(), task(), content()):
        absent = dict.fromkeys(optional[record["kind"]])
        kept = {key: value for key, value in record.items() if key not in absent}
        parse(kept | absent if missing == "null" else kept)


BAD = {
    "cut off": (b'{"kind": "topic", "key"', "not JSON"),
    "two objects": (b"{} {}", "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "NaN": (json.dumps(content(metrics={"like_count": float("nan")})).encode(), "NaN is not a JSON number"),
    "huge number": (
        json.dumps(content()).replace('"like_count": 3', '"like_count": 1e999').encode(),
        "metrics holds a number that is too large",
    ),
    "a number of 5,000 digits": (b'{"kind": ' + b"9" * 5000 + b"}", "not JSON"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "deep metrics": (
        json.dumps(content()).replace('"like_count": 3', '"a":' + "[" * 200 + "]" * 200).encode(),
        "metrics is nested more than 100 levels deep",
    ),
    "not UTF-8": (json.dumps(content()).encode().replace(b"green", b"gr\xffen"), "not UTF-8: byte 0xff at"),
    "UTF-16": (json.dumps(content()).encode("utf-16"), "not UTF-8"),
    "NUL": (json.dumps(content(text="a\0b")).encode(), "text' holds a NUL character"),
    "NUL in a name": (json.dumps(content(metrics={"\0": 1})).encode(), "metrics' holds a NUL character"),
    "half a character": (json.dumps(content(text="\ud83d")).encode(), "text' holds half a character"),
}  # fmt: skip
WRONG: list[tuple[dict[str, Any], str]] = [
    (content(kind="post"), 'kind is "post", expected topic, user, task or content'),
    (content(kind=None), "kind is missing"),
    (content(kind=["content"]), 'kind is ["content"], expected a text'),
    (topic(key=None), "key is missing"),
    (topic(key=7), "key is 7, expected a text"),
    (topic(name="n" * 257), "name has 257 characters, at most 256 fit"),
    (topic(keywords=None), "keywords is missing"),
    (topic(keywords="tea"), 'keywords is "tea", expected a list of texts'),
    (topic(keywords=["tea", 1]), 'keywords is ["tea", 1], expected a list of texts'),
    (topic(status="asleep"), 'status is "asleep", expected active, paused, archived'),
    (topic(created_at=None), "created_at is missing"),
    (user(platform="p" * 17), "platform has 17 characters, at most 16 fit"),
    (user(profile_url=None), "profile_url is missing"),
    (task(status="done"), 'status is "done", expected pending, running, completed, failed'),
    (task(label="l" * 65), "label has 65 characters, at most 64 fit"),
    (task(action=None), "action is missing"),
    (task(found=-1), "found is -1, expected a count"),
    (task(found=True), "found is true, expected a count"),
    (task(found="3"), 'found is "3", expected a count'),
    (task(completed_at="2026-01-05T00:05:00"), 'completed_at is "2026-01-05T00:05:00", a time without zone'),
    (content(crawled_at="2026-01-05"), 'crawled_at is "2026-01-05", a time without zone'),
    (content(crawled_at="yesterday"), 'crawled_at is "yesterday", expected an ISO 8601 time'),
    (content(crawled_at="2026-02-30T00:00:00Z"), "expected an ISO 8601 time"),
    (content(crawled_at="9999-12-31T23:59:59-12:00"), "outside the years 1 to 9999"),
    (content(crawled_at=1767571200), "crawled_at is 1767571200, expected a text"),
    (content(task=None), "task is missing"),
    (content(platform_content_id="1" * 129), "platform_content_id has 129 characters, at most 128 fit"),
    (content(source_url=None), "source_url is missing"),
    (content(author_username="a" * 65), "author_username has 65 characters, at most 64 fit"),
    (content(lang="en-Latn-GB"), "lang has 10 characters, at most 8 fit"),
    (content(text=["tea"]), 'text is ["tea"], expected a text'),
    (content(hashtags={"tea": 1}), 'hashtags is {"tea": 1}, expected a list of texts'),
    (content(metrics=[3]), "metrics is [3], expected an object"),
]


@pytest.mark.parametrize(("raw", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_record_at_all_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(BadLine) as refused:
        parse_line(raw)
    assert reason in str(refused.value)


@pytest.mark.parametrize(("record", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_a_wrong_value_is_refused_with_the_name_of_its_key(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadLine) as refused:
        parse(record)
    assert reason in str(refused.value)


def test_what_looks_like_a_nul_but_is_text_is_accepted() -> None:
    assert parse(content(text="the escape \\u0000 in C")).text == "the escape \\u0000 in C"
    assert parse(content(text="pair \U0001f600")).text == "pair \U0001f600"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from([topic(), user(), task(), content()]),
    st.dictionaries(st.sampled_from([*topic(), *user(), *task(), *content()]), JSON, max_size=3),
)
def test_a_line_is_either_refused_or_becomes_a_row_that_json_can_say(
    record: dict[str, Any], changes: dict[str, Any]
) -> None:
    try:
        parsed = parse(record | changes)
    except BadLine:
        return
    row = json.dumps(parsed.row(), ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in row
    row.encode()


@given(st.binary())
def test_arbitrary_bytes_are_refused_and_never_fail(raw: bytes) -> None:
    with pytest.raises(BadLine):
        parse_line(raw)


def test_publication_times_take_the_platforms_own_form_in_english_and_utc() -> None:
    moment = datetime.fromisoformat("2018-10-10T22:19:24+02:00")
    assert platform_time("x", moment) == "Wed Oct 10 20:19:24 +0000 2018"
    assert platform_time("xhs", moment) == "2018-10-10T20:19:24+00:00"


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))
def test_the_form_of_x_can_be_read_back(moment: datetime) -> None:
    written = platform_time("x", moment)
    assert datetime.strptime(written, "%a %b %d %H:%M:%S %z %Y") == moment.replace(microsecond=0)


def test_a_task_seen_before_its_end_is_pending() -> None:
    done = parse(task())
    assert done.as_of(None) == done.as_of(at(5)) == done
    waiting = done.as_of(at(4))
    assert (waiting.status, waiting.started_at, waiting.completed_at) == ("pending", None, None)
    assert waiting.row()["result"] is None
    assert parse(task(status="pending")).as_of(at(4)).status == "pending"


@given(st.integers(-10, 20), st.integers(-10, 20), st.integers(-10, 20), st.integers(-10, 20))
def test_a_task_seen_twice_is_never_further_at_the_earlier_time(
    started: int, completed: int, first: int, second: int
) -> None:
    stages = ("pending", "completed")
    whole = parse(task(started_at=at(started).isoformat(), completed_at=at(completed).isoformat()))
    earlier, later = sorted((first, second))
    before, after = whole.as_of(at(earlier)), whole.as_of(at(later))
    assert stages.index(before.status) <= stages.index(after.status)
    assert after.as_of(at(earlier)) == before


def test_results_have_the_shape_that_each_action_leaves() -> None:
    assert parse(task()).row()["result"] == {
        "action": "search", "query": "tea", "tab": None, "tweets_found": 1, "content_ids": [],
    }  # fmt: skip
    assert parse(task(action="timeline", username="ada", query=None)).row()["result"] == {
        "action": "timeline", "username": "ada", "tweets_found": 1, "content_ids": [], "new_count": 0,
        "exhausted": None,
    }  # fmt: skip
    assert parse(task(action="tweet")).row()["result"] == {
        "action": "tweet", "replies_found": 1, "content_ids": [], "reply_content_ids": [],
    }  # fmt: skip
    assert "tweets_found" not in parse(task(found=None)).row()["result"]
    assert parse(task(status="failed")).row()["result"] is None


def test_a_recrawl_changes_text_metrics_and_data_and_says_when() -> None:
    first = parse(content())
    later = parse(
        content(
            text="black tea", metrics={"like_count": 9}, published_at=None, task="other", topic=None,
            crawled_at=(at(3) + timedelta(hours=1)).isoformat(), lang="de",
        )
    )  # fmt: skip
    changed = first.recrawled(later.as_recrawl())
    assert (changed.text, changed.metrics) == ("black tea", {"like_count": 9})
    assert changed.data == {
        "created_at": "Wed Dec 31 22:05:07 +0000 2025",
        "recrawled_at": "2026-01-05T01:03:00.000000+00:00",
    }
    assert (changed.id, changed.task, changed.topic, changed.time, changed.lang) == (
        first.id, first.task, first.topic, first.time, "en",
    )  # fmt: skip
