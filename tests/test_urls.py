"""Database URLs as people write them."""

import pytest
from sqlalchemy import make_url

from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.urls import as_libpq_reads_it, normalise_url


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_every_usual_spelling_of_a_url_is_understood(scheme: str) -> None:
    assert normalise_url(f"{scheme}://u:p%40ss@h:1/d?a=b") == "postgresql+psycopg://u:p%40ss@h:1/d?a=b"


def test_the_encryption_that_asyncpg_asks_for_is_asked_of_libpq() -> None:
    asked = normalise_url("postgresql+asyncpg://u@h/d?ssl=require")
    assert asked == "postgresql+psycopg://u@h/d?sslmode=require"


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("u:p@h:1/d?dbname=x&user=v&password=q%40&port=2&a=b", "v:q%40@h:2/x?a=b"),
        ("u@h/d?dbname=first&dbname=last", "u@h/last"),
        ("h/d?password=q", "h/d?password=q"),
        ("u@/d?host=%2Ftmp&port=2", "u@/d?host=%2Ftmp&port=2"),
        ("u@h/d?port=1%2C2", "u@h/d?port=1%2C2"),
    ],
)
def test_what_libpq_would_take_from_the_parameters_stands_in_its_place(given: str, understood: str) -> None:
    assert normalise_url(f"postgresql://{given}") == f"postgresql+psycopg://{understood}"


def test_programs_of_postgresql_get_a_url_without_spaces() -> None:
    url = make_url("postgresql+psycopg://a%20b:c%20d%2Be@h/f%20g?options=-c%20timezone%3DUTC")
    assert as_libpq_reads_it(url) == "postgresql://a%20b:c%20d+e@h/f%20g?options=-c%20timezone%3DUTC"


def test_a_second_at_sign_is_refused_and_its_neighbours_are_not_repeated() -> None:
    with pytest.raises(PipelineError, match="more than one @") as error:
        normalise_url("postgresql://u:secret@secret@h/d")
    assert error.value.exit_code == 2
    assert "%40" in error.value.hint
    assert "secret" not in str(error.value)
    assert normalise_url("postgresql://u@server:p%40ss@h/d") == "postgresql+psycopg://u%40server:p%40ss@h/d"


def test_passwords_among_the_parameters_are_not_shown() -> None:
    database = Database("postgresql://u@h/d?password=secret&sslpassword=secret&sslmode=require")
    assert database.safe_url == "postgresql+psycopg://u:***@h/d?sslmode=require"


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "not a url with secret", "sqlite:///secret"])
def test_what_is_no_postgresql_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PipelineError) as error:
        normalise_url(url)
    assert error.value.exit_code == 2
    assert "secret" not in str(error.value)
