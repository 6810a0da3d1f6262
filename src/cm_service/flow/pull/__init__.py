"""Pull: everything that rules read, from one EMR into one landing folder, as the EMR sent it."""

from cm_service.flow.pull.run import pull
from cm_service.flow.pull.source import Reach, Source

__all__ = ["Reach", "Source", "pull"]
