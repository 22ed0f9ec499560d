"""Puts together the services by which people and programs are known, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

from api.services.access.caller import CallerService
from api.services.access.caller_use import CallerUses
from api.services.access.changing import Changes
from api.services.access.grant import GrantService
from api.services.access.key_ring import KeyRing
from api.services.access.known_callers import KnownCallers
from api.services.access.password_hashing import PasswordHashing
from api.services.access.rates import Rates
from api.services.access.second_factor import SecondFactor
from api.services.access.session import SessionService
from api.services.access.sign_in import SignInService
from api.services.access.sign_in_rates import SignInRates
from api.services.access.user import UserService
from gamekeeper.db.engine import Database
from gamekeeper.domain.access.user import SessionTerms
from gamekeeper.ports.master_keys import MasterKeys


@dataclass(frozen=True)
class People:
    callers: CallerService
    uses: CallerUses
    keys: KeyRing
    grants: GrantService
    users: UserService
    sessions: SessionService
    sign_ins: SignInService
    second: SecondFactor

    @classmethod
    def of(cls, database: Database, rates: Rates, terms: SessionTerms, metrics_key: str, keys: MasterKeys) -> People:
        known, uses = KnownCallers(database, terms=terms), CallerUses(database)
        changes, hashing, delays = Changes(database, known.forget, terms), PasswordHashing(), SignInRates()
        sessions = SessionService(database, changes, terms)
        second = SecondFactor(changes, keys, hashing, delays)
        return cls(
            callers=CallerService(known, uses, rates, metrics_key),
            uses=uses,
            keys=KeyRing(database, changes),
            grants=GrantService(database, changes),
            users=UserService(database, changes, sessions, hashing, delays),
            sessions=sessions,
            sign_ins=SignInService(database, changes, sessions, hashing, delays, second),
            second=second,
        )
