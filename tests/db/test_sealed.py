"""What is sealed opens with the key that sealed it, and with nothing else."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from cm_service import wiring
from cm_service.db.sealed import Sealer, key_in_file
from cm_service.errors import Misconfigured
from cm_service.settings import Settings

URL = "https://emr.example/fhir/Observation?patient=17&ct=Doe"
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_a_sealed_value_opens_and_shows_nothing() -> None:
    sealed = Sealer([OLD]).seal(URL)
    assert Sealer([OLD]).open(sealed) == URL
    assert "Doe" not in sealed and sealed.isascii()
    assert Sealer([OLD]).seal(URL) != sealed


def test_after_rotation_the_second_key_still_opens_what_it_sealed_and_seals_nothing() -> None:
    both = Sealer([NEW, OLD])
    assert both.open(Sealer([OLD]).seal(URL)) == URL
    assert Sealer([NEW]).open(both.seal(URL)) == URL


@pytest.mark.parametrize("spoiled", ["", "gAAAA", "né", Sealer([OLD]).seal(URL)[:-4] + "AAA="])
def test_what_was_changed_or_sealed_by_a_lost_key_is_told_without_its_text(spoiled: str) -> None:
    for keys in ([OLD], [NEW]):
        with pytest.raises(Misconfigured, match="does not open") as caught:
            Sealer(keys).open(spoiled)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("keys", [[], ["secret"], [OLD, "secret"]])
def test_a_key_that_is_none_is_told_without_quoting_it(keys: list[str]) -> None:
    with pytest.raises(Misconfigured) as caught:
        Sealer(keys)
    assert "secret" not in str(caught.value)


def test_without_a_setting_one_key_is_made_for_this_installation_and_kept_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    sealed = wiring.sealer(settings).seal(URL)
    assert wiring.sealer(settings).open(sealed) == URL
    (made,) = (tmp_path / "data" / "keys").iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


def test_processes_that_begin_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(key_in_file, [tmp_path / "k" / "store.key"] * 32))
    assert len(keys) == 1


def test_the_setting_takes_several_keys_and_is_never_shown() -> None:
    settings = Settings(secret_key=SecretStr(f"{NEW}, {OLD}"))
    assert wiring.sealer(settings).open(Sealer([OLD]).seal(URL)) == URL
    assert NEW not in repr(settings) and OLD not in str(settings)
