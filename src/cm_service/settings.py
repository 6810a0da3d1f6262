"""Every setting of the process, from the environment with the prefix `CM_`. Nothing else reads it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """See the table in README.md; a test keeps the two equal."""

    model_config = SettingsConfigDict(env_prefix="CM_", frozen=True)

    data_dir: Path = Field(Path("cm-data"), description="folder for the embedded database and landing files")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite under CM_DATA_DIR")
    identifier_base: str = Field(
        "https://cm-service.example", description="base of our identifier systems; stored at the first run"
    )
    public_url: str = Field("http://127.0.0.1:8000", description="URL under which people reach `serve`")
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="keys that encrypt what the store must not hold in clear, separated by commas, the "
        "newest first; empty means one made in CM_DATA_DIR/keys",
    )
    read_concurrency: int = Field(4, ge=1, le=32, description="parallel reads per EMR")
    read_timeout_seconds: float = Field(60.0, gt=0, description="one HTTP read")
    read_attempts: int = Field(4, ge=1, le=10, description="tries of one read before it counts as failed")
    max_line_bytes: int = Field(20_000_000, ge=1000, description="a longer NDJSON line is quarantined")
    profile_dir: str = Field("", description="folder with vendor profiles of your own, beside ours")
    unknown_quiet_seconds: float = Field(
        300.0,
        ge=0,
        description="after a write without an answer, how long not finding it says nothing; twice",
    )
    sample_most: int = Field(
        50,
        ge=0,
        description="patients at most who are read again each night to prove it (1 %, at least 5); 0: none",
    )
    export_wait_seconds: float = Field(
        14_400.0,
        ge=0,
        description="how long a night waits for a bulk export; then it is partial, and the next one goes on",
    )
    keep_landing_runs: int = Field(7, ge=1, description="landing folders kept per EMR")
    api_calls_per_minute: int = Field(600, ge=1, description="calls of one API client, per process")
    api_longest_body: int = Field(5_000_000, ge=1000, description="bytes of one request to the API")
    private_hosts: str = Field(
        "", description="hosts of key sets and webhooks that may stand in a private network, with commas"
    )
    hint_seconds: float = Field(
        15.0,
        ge=0,
        description="how often `serve` follows notifications and sends what is held no longer; 0: never",
    )
    hint_calls_per_minute: int = Field(600, ge=1, description="notifications of one EMR, per process")
    hint_patients: int = Field(
        10, ge=1, le=100, description="patients of one EMR that are read at once because of notifications"
    )
    log_level: str = Field(
        "WARNING",
        pattern="(?i)^(debug|info|warning|error|critical)$",
        description="level of the logs on stderr",
    )

    @property
    def extra_profiles(self) -> Path | None:
        return Path(self.profile_dir) if self.profile_dir else None

    @cached_property
    def sqlalchemy_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'cm-service.sqlite3'}"
