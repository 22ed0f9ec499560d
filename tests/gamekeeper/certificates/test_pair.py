"""A certificate with its key from others' files: each mistake has words of its own."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gamekeeper.certificates.authority import Authority, OwnCertificate
from gamekeeper.certificates.pair import is_for, is_near_its_end, read_pair, renewal_of
from gamekeeper.errors import InvalidError
from tests.fixtures.certificates import PASSPHRASE

LIFE = timedelta(days=90)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One that was rotated: its chains have two certificates."""
    now = datetime.now(UTC)
    return Authority.ensure(tmp_path / "ca", PASSPHRASE, now).rotate(PASSPHRASE, now)


@pytest.fixture
def made(authority: Authority) -> OwnCertificate:
    return authority.issue_server(["example.com", "192.0.2.1", "2001:db8::1"], datetime.now(UTC), LIFE)


def test_a_good_pair_is_read_whatever_else_stands_in_the_files(made: OwnCertificate) -> None:
    assert read_pair(f"Bag Attributes\n{made.chain_pem}# end\n", made.key_pem) == made
    assert read_pair(made.key_pem + made.chain_pem, made.key_pem + made.chain_pem) == made


def test_each_mistake_is_named(authority: Authority, made: OwnCertificate, tmp_path: Path) -> None:
    other = authority.issue_server([], datetime.now(UTC))
    (tmp_path / "key.pem").write_text(made.key_pem)
    encrypted = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", tmp_path / "key.pem", "-passout", "pass:secret"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    leaf, _, rest = made.chain_pem.partition("-----END CERTIFICATE-----\n")
    leaf += "-----END CERTIFICATE-----\n"
    for chain, key, words in (
        ("", made.key_pem, "no certificate in PEM.*; give fullchain.pem"),
        (made.chain_pem, "", "no private key in PEM.*; give privkey.pem"),
        (made.chain_pem, made.chain_pem, "no private key in PEM"),
        (made.chain_pem[:300], made.key_pem, "no certificate in PEM"),
        (made.chain_pem, encrypted, "the key is encrypted; decrypt it: openssl pkey"),
        (made.chain_pem, other.key_pem, "does not belong to the first certificate; give the key with which"),
        (rest + leaf, made.key_pem, "does not belong to the first certificate; put the server's certificate first"),
        (leaf + leaf + rest, made.key_pem, "the second certificate, .*, did not issue the first one"),
    ):
        with pytest.raises(InvalidError) as caught:
            read_pair(chain, key)
        assert re.search(words, str(caught.value)), caught.value


def test_names_and_times(made: OwnCertificate) -> None:
    assert is_for(made.chain_pem, ["Example.com", "192.0.2.1", "2001:DB8:0::1"])
    assert not is_for(made.chain_pem, ["example.com", "192.0.2.2"])
    end = made.not_after
    assert end - LIFE < renewal_of(made.chain_pem) < end - LIFE / 4
    assert not is_near_its_end(made.chain_pem, end - timedelta(days=15))
    assert is_near_its_end(made.chain_pem, end - timedelta(days=13))
    assert is_near_its_end(made.chain_pem, end + timedelta(days=1))


def test_a_short_life_is_near_its_end_late(authority: Authority) -> None:
    """Six days of a public CA, of which a week before is no part here: ours begin that much earlier."""
    made = authority.issue_server([], datetime.now(UTC), timedelta(days=1))
    assert not is_near_its_end(made.chain_pem, made.not_after - timedelta(days=3))
    assert is_near_its_end(made.chain_pem, made.not_after - timedelta(days=1))
