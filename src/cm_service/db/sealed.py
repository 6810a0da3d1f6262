"""What the store holds only encrypted: `next` and poll URLs, refresh tokens, drafts not yet sent.

Fernet (AES-128-CBC with HMAC-SHA256), so a value that was changed in the store does not open.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cm_service.errors import Misconfigured


class Sealer:
    """Seals with the first key and opens with any. To rotate, put the new key before the old one,
    and drop the old one when nothing that it sealed is of use any more."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Each key is 32 random bytes as URL-safe base64. Raises Misconfigured."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            text = "CM_SECRET_KEY takes keys of 32 bytes as URL-safe base64, separated by commas"
            raise Misconfigured(text) from None

    def seal(self, text: str) -> str:
        """ASCII, about a third longer than `text` and 100 characters; another one at every call."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises Misconfigured when no key of ours fits, or the value was changed."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except (InvalidToken, ValueError):
            text = "a stored value does not open: the key that sealed it is not in CM_SECRET_KEY"
            raise Misconfigured(text) from None


def key_in_file(path: Path) -> str:
    """The key in `path`, made there at the first call (file 0600, folder 0700)."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-") as file:  # made 0600
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
            # Never a half-written key, and one key only where two processes begin at once.
            with suppress(FileExistsError):
                path.hardlink_to(file.name)
    return path.read_text().strip()
