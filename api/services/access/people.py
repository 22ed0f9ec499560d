"""Puts together the services by which people and programs are known, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

from api.services.access.caller import CallerService
from api.services.access.caller_use import CallerUses
from api.services.access.ceremonies import Ceremonies
from api.services.access.changing import Changes
from api.services.access.grant import GrantService
from api.services.access.identity import IdentityService
from api.services.access.key_ring import KeyRing
from api.services.access.known_callers import KnownCallers
from api.services.access.oidc import OidcSignIns
from api.services.access.own_password import OwnPassword
from api.services.access.passkey import PasskeyService
from api.services.access.passkey_sign_in import PasskeySignIn
from api.services.access.passkey_use import PasskeyUses
from api.services.access.password_hashing import PasswordHashing
from api.services.access.proving import Proving
from api.services.access.quota import QuotaService
from api.services.access.rates import Rates
from api.services.access.second_factor import SecondFactor
from api.services.access.session import SessionService
from api.services.access.sign_in import SignInService
from api.services.access.sign_in_failures import SignInFailures
from api.services.access.sign_in_link import SignInLinks
from api.services.access.sign_in_rates import SignInRates
from api.services.access.user import UserService
from gamekeeper.db.engine import Database
from gamekeeper.domain.access.oidc import OidcRules
from gamekeeper.domain.access.passkey import RelyingParty
from gamekeeper.domain.access.user import SessionTerms
from gamekeeper.domain.access.ways_in import WaysIn
from gamekeeper.oidc.provider import HttpOidcProvider
from gamekeeper.oidc.terms import OidcTerms
from gamekeeper.ports.master_keys import MasterKeys


@dataclass(frozen=True)
class People:
    callers: CallerService
    uses: CallerUses
    keys: KeyRing
    grants: GrantService
    quotas: QuotaService
    users: UserService
    sessions: SessionService
    sign_ins: SignInService
    second: SecondFactor
    passkeys: PasskeyService
    passkey_sign_ins: PasskeySignIn
    links: SignInLinks
    own_passwords: OwnPassword
    identities: IdentityService
    oidc: OidcSignIns | None

    @classmethod
    def of(
        cls,
        database: Database,
        rates: Rates,
        terms: SessionTerms,
        metrics_key: str,
        keys: MasterKeys,
        rp: RelyingParty | None,
        oidc: tuple[OidcTerms, OidcRules] | None,
    ) -> People:
        ways = WaysIn(rp.id if rp is not None else "", oidc[0].issuer if oidc is not None else "")
        known, uses = KnownCallers(database, terms=terms), CallerUses(database)
        changes, hashing, delays = Changes(database, known.forget, terms, ways), PasswordHashing(), SignInRates()
        sessions = SessionService(database, changes, terms)
        users = UserService(database, changes, sessions, hashing)
        second, ceremonies = SecondFactor(changes, keys, hashing, delays), Ceremonies(keys, rp)
        of_passkeys, failures = PasskeyUses(database, ceremonies), SignInFailures(database)
        proving = Proving(changes, second, of_passkeys, delays)
        return cls(
            callers=CallerService(known, uses, rates, metrics_key),
            uses=uses,
            keys=KeyRing(database, changes),
            grants=GrantService(database, changes),
            users=users,
            quotas=QuotaService(database, changes),
            sessions=sessions,
            sign_ins=SignInService(database, changes, sessions, hashing, delays, second, failures),
            second=second,
            passkeys=PasskeyService(changes, ceremonies, proving, sessions),
            passkey_sign_ins=PasskeySignIn(changes, ceremonies, of_passkeys, sessions, delays, failures),
            links=SignInLinks(database, changes, sessions, users),
            own_passwords=OwnPassword(proving, sessions, hashing, ways),
            identities=IdentityService(changes, sessions, ways.issuer),
            oidc=_oidc(database, changes, sessions, failures, *oidc) if oidc is not None else None,
        )


def _oidc(
    database: Database,
    changes: Changes,
    sessions: SessionService,
    failures: SignInFailures,
    terms: OidcTerms,
    rules: OidcRules,
) -> OidcSignIns:
    return OidcSignIns(database, changes, sessions, HttpOidcProvider(terms), rules, terms.public_url, failures)
