"""The schemas before and after, shared with the tests of migrations."""

from tests.migrations.conftest import head, legacy

__all__ = ["head", "legacy"]
