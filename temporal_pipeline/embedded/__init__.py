"""The embedded PostgreSQL: one server per home folder, shared by all processes that attach to it.

Nobody owns the server. Every user holds a shared lock on `users.lock` for as long as it lives; a detached
*keeper* process holds `keeper.lock`, keeps the server running while there are users, and stops it when it
gets `users.lock` exclusively. The kernel drops the locks of a process that dies in any way, so there is
nothing to clean up, and kill -9 of anybody harms nobody else.
"""

from temporal_pipeline.embedded.attachment import Attachment, attach
from temporal_pipeline.embedded.place import state_folder

__all__ = ["Attachment", "attach", "state_folder"]
