"""Pull: everything that rules read, from one EMR into one landing folder, as the EMR sent it."""

from cm_service.flow.pull.run import can_go_on, pull
from cm_service.flow.pull.source import Reach, Source

__all__ = ["Reach", "Source", "can_go_on", "pull"]
