"""Which errors of the database pass by themselves."""

from sqlalchemy.exc import DBAPIError

from temporal_pipeline.errors import ServerGone

# Deadlock and serialization failure; the server is stopping, crashed, or not up yet.
PASSING = ("40P01", "40001", "57P01", "57P02", "57P03")
# Connection exceptions.
CONNECTION_CLASS = "08"
# What a server says before it looks at who we are. Anything else FATAL is about us, and stays.
NOT_UP = ("the database system is ", "sorry, too many clients", "remaining connection slots")


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed a moment later: the connection was lost, or others were in the way.

    False for bad data, missing rights, wrong usage, and for locks that we have already waited for.
    """
    if isinstance(error, ServerGone):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state in PASSING or state.startswith(CONNECTION_CLASS)


def may_come_up(reason: str) -> bool:
    """Whether a server that refused a connection for `reason`, in its words or libpq's, may accept one later."""
    return "FATAL" not in reason or any(words in reason for words in NOT_UP)
