"""The certificate of a public CA: kept, renewed in time, and never asked for in a loop."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.services.access.acme import FIRST_WAIT, LONGEST_WAIT, AcmeSource
from api.services.access.rest_certificate import RestCertificate
from gamekeeper.certificates.acme_terms import AcmeTerms
from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.errors import UnavailableError
from tests.fixtures.acme import pebble_server
from tests.fixtures.certificates import TestAuthority
from tests.told import told

NAMES = ("play.example.com",)
LIFE = timedelta(days=90)


class PublicCa:
    """Counts its orders, and is away when it is told to. Its clock is the test's."""

    def __init__(self, folder: Path) -> None:
        self.now = datetime.now(UTC)
        self.folder = folder
        self.is_away = False
        self.orders = 0
        self._authority = TestAuthority(folder / "public").authority

    def order(self, terms: AcmeTerms, account_file: Path) -> OwnCertificate:
        self.orders += 1
        assert account_file.parent == self.folder / "acme"
        if self.is_away:
            raise UnavailableError("the CA could not check play.example.com", hint="open port 80")
        return self._authority.issue_server(terms.names, self.now, LIFE)

    def source(self, names: tuple[str, ...] = NAMES) -> AcmeSource:
        """As after a start of the process."""
        return AcmeSource(AcmeTerms("https://ca", names), self.folder / "acme", lambda: self.now, self.order)


@pytest.fixture
def ca(tmp_path: Path) -> PublicCa:
    return PublicCa(tmp_path)


async def test_it_is_ordered_once_kept_and_renewed_at_two_thirds(ca: PublicCa) -> None:
    source = ca.source()
    assert source.current() is None
    for _ in range(3):
        await source.renew()
    first = source.current()
    assert first is not None
    assert ca.orders == 1
    source = ca.source()
    assert source.current() == first, "a restart orders nothing"
    ca.now += LIFE / 2
    await source.renew()
    assert ca.orders == 1
    ca.now += LIFE / 4
    await source.renew()
    assert ca.orders == 2
    assert source.current() != first
    other = ca.source(("other.example.com",))
    assert other.current() is None, "it is for other names"
    await other.renew()
    assert ca.orders == 3


async def test_a_failure_is_told_once_and_tried_again_seldom(ca: PublicCa, caplog: pytest.LogCaptureFixture) -> None:
    ca.is_away = True
    source, tries = ca.source(), []
    end = ca.now + timedelta(days=3)
    while ca.now < end:
        before = ca.orders
        await source.renew()
        if ca.orders > before:
            tries.append(ca.now)
        ca.now += timedelta(minutes=1)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert all(FIRST_WAIT <= wait <= FIRST_WAIT + LONGEST_WAIT + timedelta(minutes=1) for wait in waits)
    assert len(set(waits)) > 1, "they are jittered"
    assert len(tries) < 60
    words = told(caplog)
    assert len(words) == 1
    assert "open port 80" in words[0]
    assert source.trouble == "the CA could not check play.example.com; open port 80"
    ca.is_away = False
    ca.now += 2 * LONGEST_WAIT
    await source.renew()
    assert source.current() is not None
    assert source.trouble == ""


async def test_a_process_that_dies_again_and_again_does_not_order_in_a_loop(ca: PublicCa) -> None:
    ca.is_away = True
    for _ in range(20):
        await ca.source().renew()
    assert ca.orders == 1
    ca.now += FIRST_WAIT
    await ca.source().renew()
    assert ca.orders == 2
    ca.is_away = False
    await ca.source(("corrected.example.com",)).renew()
    assert ca.orders == 3, "other names are another matter"


async def test_until_it_is_there_and_while_it_fails_another_one_serves(ca: PublicCa, tmp_path: Path) -> None:
    from tests.api.test_https import Given

    own = Given(ca._authority.issue_server(NAMES, ca.now))
    own.is_public = False
    acme = ca.source()
    rest = RestCertificate(tmp_path / "rest", [acme, own], lambda: ca.now)
    rest.load()
    assert (rest.served, rest.is_public) == (own.made, False)
    await rest.renew()
    await rest.refresh()
    assert (rest.served, rest.is_public) == (acme.current(), True)
    assert rest.renewed.is_set()
    ca.is_away = True
    ca.now += LIFE * 0.9
    await rest.renew()
    await rest.refresh()
    assert rest.served == acme.current()
    assert "the certificate of REST ends on" in rest.trouble
    assert "open port 80" in rest.trouble


async def test_by_a_real_server(tmp_path: Path) -> None:
    with pebble_server(tmp_path) as pebble:
        source = AcmeSource(pebble.terms(*NAMES), tmp_path / "acme")
        await source.renew()
    found = source.current()
    assert found is not None
    assert AcmeSource(pebble.terms(*NAMES), tmp_path / "acme").current() == found
