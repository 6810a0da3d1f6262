"""Every table there is, for migrations and whoever compares them with the store."""

from cm_service.db import case_tables, door_tables, hint_tables, launch_tables, webhook_tables
from cm_service.db.tables import Base

__all__ = ["Base", "case_tables", "door_tables", "hint_tables", "launch_tables", "webhook_tables"]
