"""URLs of PostgreSQL databases: every usual spelling is understood, and no password is shown."""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from temporal_pipeline.errors import PipelineError

# What libpq takes among the parameters of a URL as well, and then rather than what stands before them.
IN_PLACE = ("user", "password", "dbname")
# libpq takes them among the parameters of a URL as well.
SECRETS = ("password", "sslpassword", "oauth_client_secret")


def normalise_url(url: str, variable: str = "DATABASE_URL") -> str:
    """Any usual spelling of a PostgreSQL URL as `postgresql+psycopg://…`, the driver that we use.

    Database, user, password and port each stand in one place only: what we read there is what libpq takes.
    Raises PipelineError (exit code 2) for anything that is not a PostgreSQL URL, without repeating it; it
    names the environment variable that the URL came from.
    """
    parsed = _parsed(url, variable).set(drivername="postgresql+psycopg")
    # ssl is asyncpg's name of what libpq calls sslmode, with the same values.
    query = {("sslmode" if key == "ssl" else key): value for key, value in parsed.query.items()}
    # A password without a user has no other place.
    movable = IN_PLACE if parsed.username or "user" in query else ("dbname",)
    moved = {key: query.pop(key) for key in movable if key in query}
    last = {key: value if isinstance(value, str) else value[-1] for key, value in moved.items()}
    parsed = parsed.set(username=last.get("user"), password=last.get("password"), database=last.get("dbname"))
    # Beside a host among the parameters it is that host's.
    if "host" not in query and str(query.get("port")).isdigit():
        parsed = parsed.set(port=int(str(query.pop("port"))))
    return parsed.set(query=query).render_as_string(hide_password=False)


def _parsed(url: str, variable: str) -> URL:
    hint = "give postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    try:
        parsed = make_url(re.sub(r"^postgres://", "postgresql://", url))
    except (ArgumentError, ValueError):
        raise PipelineError(f"{variable} is not a database URL", hint=hint, exit_code=2) from None
    # Else what follows an @ of the password would be taken for the host, and be told to everybody.
    if parsed.password is not None and "@" in url.partition("://")[2].partition(":")[2].partition("@")[2]:
        raise PipelineError(
            f"{variable} has more than one @",
            hint="write an @ of the password as %40, and its / : ? # % as %2F %3A %3F %23 %25",
            exit_code=2,
        )
    if parsed.get_backend_name() != "postgresql":
        raise PipelineError(
            f"{variable} names {parsed.get_backend_name()!r}, not PostgreSQL", hint=hint, exit_code=2
        )
    return parsed


def as_libpq_reads_it(url: URL) -> str:
    """The URL, its password included, as psql, pg_dump and every other program of PostgreSQL understands it.

    libpq refuses a space, repeating what it stands in, and takes a plus for what it is; SQLAlchemy writes
    spaces as they are, and in the parameters as a plus.
    """
    written = url.set(drivername="postgresql").render_as_string(hide_password=False)
    place, mark, parameters = written.partition("?")
    return place.replace(" ", "%20") + mark + parameters.replace("+", "%20")


def without_secrets(url: str) -> str:
    """The URL without its passwords, fit for messages."""
    return make_url(url).difference_update_query(SECRETS).render_as_string(hide_password=True)
