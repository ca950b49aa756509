import gzip
from pathlib import Path

import pytest

from temporal_pipeline.crosshot import lines
from temporal_pipeline.crosshot.lines import Line, open_export
from temporal_pipeline.errors import PipelineError


def read(path: Path) -> list[Line]:
    with open_export(path) as (found, _):
        return list(found)


def test_blank_lines_count_but_do_not_come_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"\xef\xbb\xbf{1}\r\n\n   \n{4}\n{5}")
    assert [(line.number, line.raw) for line in read(path)] == [(1, b"{1}"), (4, b"{4}"), (5, b"{5}")]


def test_gzip_is_known_by_content_not_by_name_also_in_several_members(tmp_path: Path) -> None:
    packed, plain = tmp_path / "packed.jsonl", tmp_path / "plain.jsonl.gz"
    packed.write_bytes(gzip.compress(b"{1}\n") + gzip.compress(b"{2}\n"))
    plain.write_bytes(b"{1}\n{2}\n")
    for path in (packed, plain):
        assert [line.raw for line in read(path)] == [b"{1}", b"{2}"]
        assert read(path)[-1].position <= path.stat().st_size


@pytest.mark.parametrize("damage", ["cut off", "flipped"])
def test_a_damaged_gzip_ends_with_a_line_that_says_so(tmp_path: Path, damage: str) -> None:
    whole = bytearray(gzip.compress(b"".join(b'{"n": %d}\n' % n for n in range(20_000))))
    if damage == "flipped":
        whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "export"
    path.write_bytes(whole if damage == "flipped" else whole[: len(whole) // 2])
    *good, last = read(path)
    assert good
    assert [line.number for line in good] == list(range(1, len(good) + 1))
    assert "the gzip stream is damaged or cut off here" in last.damage
    assert last.number == len(good) + 1


def test_a_line_that_would_fill_the_memory_is_skipped_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 10)
    path = tmp_path / "export"
    path.write_bytes(b"{1}\n" + b"x" * 35 + b"\n{3}\n" + b"123456789\n" + b"y" * 10)
    assert [(line.number, line.raw, line.damage) for line in read(path)] == [
        (1, b"{1}", ""),
        (2, b"", "longer than 10 bytes"),
        (3, b"{3}", ""),
        (4, b"123456789", ""),
        (5, b"", "longer than 10 bytes"),
    ]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "export").touch()
    assert read(tmp_path / "export") == []


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_cannot_be_read_is_a_usage_error_that_names_the_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(PipelineError, match="cannot read") as refused:
        read(tmp_path / name)
    assert refused.value.exit_code == 2
