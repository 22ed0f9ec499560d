"""The words of an OpenID provider, over HTTP on loopback, that are believed, and those that are not."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.domain.access.oidc import Recognised
from gamekeeper.errors import UnauthenticatedError, UnavailableError
from gamekeeper.oidc.answers import MAX_ANSWER_BYTES
from gamekeeper.oidc.provider import HttpOidcProvider
from gamekeeper.oidc.terms import OidcTerms
from gamekeeper.pkce import challenge_of, new_verifier
from gamekeeper.stack.ports import free_port
from tests.fakes.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    DISCOVERY,
    JWKS,
    TOKEN,
    USERINFO,
    FakeOidcProvider,
    Raw,
    ec_key,
    fake_oidc_provider,
    rsa_key,
)
from tests.hang import HANG_SECONDS

JSON = {"Content-Type": "application/json"}


class Client:
    """Our side. ``clock`` goes on by hand."""

    def __init__(self, provider: FakeOidcProvider, **terms: Any) -> None:
        self.provider = provider
        self.clock = 1000.0
        known: dict[str, Any] = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        known |= {"public_url": "http://localhost", "seconds": HANG_SECONDS}
        self.http = HttpOidcProvider(OidcTerms(**known | terms), clock=lambda: self.clock)

    async def sign_in(self, iss: str | None = None, nonce: str = "n", verifier: str = "", **claims: Any) -> Recognised:
        proof = new_verifier()
        url = await self.http.authorization_url("state", "n", challenge_of(proof))
        back = self.provider.sign_in(url, **claims)
        return await self.http.recognise(back["code"], verifier or proof, nonce, iss)


@pytest.fixture
async def provider() -> AsyncIterator[FakeOidcProvider]:
    async with fake_oidc_provider() as made:
        yield made


async def test_a_person_is_recognised(provider: FakeOidcProvider) -> None:
    who = await Client(provider).sign_in(preferred_username="mia", name="Mia M", groups=["staff", 5, "x" * 600])
    assert who == Recognised(provider.issuer, "s-1", "mia", "Mia M", ("staff",))
    assert provider.asked == [DISCOVERY, TOKEN, JWKS]


@pytest.mark.parametrize(
    ("metadata", "terms"),
    [
        ({"token_endpoint_auth_methods_supported": ["client_secret_post"]}, {}),
        ({"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]}, {}),
        ({"authorization_response_iss_parameter_supported": True}, {}),
    ],
)
async def test_ways_of_a_client(provider: FakeOidcProvider, metadata: dict[str, Any], terms: dict[str, Any]) -> None:
    provider.metadata = metadata
    assert (await Client(provider, **terms).sign_in(provider.issuer, preferred_username="mia", groups=[])).name == "mia"


async def test_a_wrong_secret_of_ours_is_told_as_that(provider: FakeOidcProvider) -> None:
    with pytest.raises(UnavailableError, match=r"refuses this server \(invalid_client\); .*GAMEKEEPER_OIDC_CLIENT_ID"):
        await Client(provider, client_secret="wrong").sign_in()


async def test_a_code_without_its_verifier_is_worth_nothing(provider: FakeOidcProvider) -> None:
    with pytest.raises(UnauthenticatedError, match=r"refused the sign-in \(invalid_grant\); sign in again") as caught:
        await Client(provider).sign_in(verifier=new_verifier())
    assert "<b>" not in str(caught.value)


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": ["http://127.0.0.1"]}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": {CLIENT_ID: 1}}, "aud"),
        ({"aud": [CLIENT_ID, "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "of another"}, "nonce"),
        ({"exp": None}, "exp"),
        ({"exp": NOW - 3600}, "exp"),
        ({"exp": "never"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": NOW + 86_400, "exp": NOW + 90_000}, "iat"),
        ({"nbf": NOW + 86_400}, "nbf"),
        ({"at_hash": "bm90IHRoZSBoYXNoIQ"}, "at_hash"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 5}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "m\u00eda"}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"groups": {"admins": True}}, "groups"),
        ({"groups": ["g"] * 5001}, "groups"),
    ],
)
async def test_claims_that_prove_nobody(provider: FakeOidcProvider, claims: dict[str, Any], word: str) -> None:
    provider.claims = claims
    groups = claims.get("groups", [])
    with pytest.raises(UnauthenticatedError, match=f'proves nobody: its claim "{word}"') as caught:
        await Client(provider).sign_in(preferred_username="mia", groups=groups)
    assert caught.value.code == "oidc_not_proven"


async def test_clocks_may_differ_by_a_minute(provider: FakeOidcProvider) -> None:
    now = int(time.time())
    provider.claims = {"iat": now + 20, "exp": now - 20, "preferred_username": "mia", "groups": []}
    assert (await Client(provider).sign_in()).name == "mia"
    provider.claims |= {"iat": now + 3600, "exp": now + 7200}
    with pytest.raises(UnauthenticatedError, match="the clocks differ by more than a minute"):
        await Client(provider).sign_in()


def _none(token: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').decode().rstrip("=")
    return f"{head}.{token.split('.')[1]}."


def _other_body(token: str) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "admin"}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


@pytest.mark.parametrize(
    "lie",
    [
        _none,
        _other_body,
        lambda token: token[:-8],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: "",
        lambda token: "a.b.c",
        lambda token: token + "." + token,
        lambda token: "x" * 200_000,
        lambda token: "W10.e30.c2ln",
        lambda token: base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.c2ln",
    ],
)
async def test_tokens_that_nobody_has_signed(provider: FakeOidcProvider, lie: Any) -> None:
    provider.token = lie
    with pytest.raises(UnauthenticatedError, match="proves nobody"):
        await Client(provider).sign_in()


@pytest.mark.parametrize(
    "secret", [CLIENT_SECRET.encode(), rsa_key("one").as_pem(private=False)], ids=["client", "key"]
)
async def test_no_secret_of_both_signs(provider: FakeOidcProvider, secret: bytes) -> None:
    """Least of all the public key, taken for one."""

    def signed(token: str) -> str:
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
        words = f"{head}.{token.split('.')[1]}"
        mac = hmac.new(secret, words.encode(), hashlib.sha256).digest()
        return f"{words}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    provider.token = signed
    with pytest.raises(UnauthenticatedError, match="its algorithm is none that is taken"):
        await Client(provider).sign_in()


async def test_a_key_that_stands_in_the_token_is_not_used(provider: FakeOidcProvider) -> None:
    stranger = rsa_key("stranger")
    provider.key, provider.header = stranger, {"kid": "one", "jwk": stranger.as_dict(private=False)}
    with pytest.raises(UnauthenticatedError, match="its signature is wrong"):
        await Client(provider).sign_in()
    provider.header = {"kid": "one", "jku": f"{provider.issuer}/other-keys"}
    with pytest.raises(UnauthenticatedError, match="its signature is wrong"):
        await Client(provider).sign_in()
    assert "/other-keys" not in provider.asked


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384", "ES256"])
async def test_algorithms(provider: FakeOidcProvider, algorithm: str) -> None:
    provider.algorithm = algorithm
    if algorithm == "ES256":
        provider.keys.append(ec_key("curve"))
        provider.key = ec_key("curve")
    provider.claims = {"at_hash": None}
    assert (await Client(provider).sign_in(preferred_username="mia", groups=[])).subject == "s-1"


async def test_the_keys_of_a_provider_rotate(provider: FakeOidcProvider) -> None:
    client = Client(provider)
    await client.sign_in()
    provider.keys = [rsa_key("two"), rsa_key("one")]
    provider.key = rsa_key("two")
    client.clock += 60
    await client.sign_in()
    assert provider.asked.count(JWKS) == 2
    client.clock += 3601
    provider.keys = [rsa_key("two")]
    provider.key = rsa_key("one")
    with pytest.raises(UnauthenticatedError, match="no key of the provider has signed it"):
        await client.sign_in()


async def test_tokens_of_unknown_keys_do_not_have_the_keys_asked_for_each_time(provider: FakeOidcProvider) -> None:
    client = Client(provider)
    provider.key = rsa_key("stranger")
    for _ in range(5):
        with pytest.raises(UnauthenticatedError, match="no key of the provider has signed it"):
            await client.sign_in()
    assert provider.asked.count(JWKS) == 1
    client.clock += 11
    with pytest.raises(UnauthenticatedError, match="no key of the provider has signed it"):
        await client.sign_in()
    assert provider.asked.count(JWKS) == 2


async def test_many_at_once_ask_once(provider: FakeOidcProvider) -> None:
    client = Client(provider)
    await asyncio.gather(*(client.sign_in() for _ in range(10)))
    assert (provider.asked.count(DISCOVERY), provider.asked.count(JWKS)) == (1, 1)


async def test_without_a_key_id_a_single_key_has_to_fit(provider: FakeOidcProvider) -> None:
    provider.header = {"kid": None}
    assert (await Client(provider).sign_in()).subject == "s-1"
    provider.keys.append(rsa_key("two"))
    with pytest.raises(UnauthenticatedError, match="no key of the provider"):
        await Client(provider).sign_in()


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"n": "AQAB"},
        {"n": "A" * 1400},
        {"n": 5},
        {"n": "\u00e9" * 400},
        {"kty": "oct"},
    ],
)
async def test_keys_that_are_none(provider: FakeOidcProvider, change: dict[str, Any]) -> None:
    provider.raw[JWKS] = Raw.of({"keys": [rsa_key("one").as_dict(private=False) | change]})
    with pytest.raises(UnauthenticatedError, match=r"no key of the provider|signature is wrong"):
        await Client(provider).sign_in()


@pytest.mark.parametrize(
    ("iss", "is_told"), [("https://evil.example", False), ("", False), (None, True), ("https://evil.example", True)]
)
async def test_a_code_of_another_provider_is_not_brought_to_ours(
    provider: FakeOidcProvider, iss: str | None, is_told: bool
) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": is_told}
    with pytest.raises(UnauthenticatedError, match="another provider has sent it"):
        await Client(provider).sign_in(iss)
    assert TOKEN not in provider.asked


async def test_names_and_groups_may_be_told_apart(provider: FakeOidcProvider) -> None:
    provider.userinfo = {"preferred_username": "mia", "groups": "staff", "aud": "x"}
    who = await Client(provider).sign_in()
    assert (who.name, who.groups) == ("mia", ("staff",))
    provider.userinfo["sub"] = "s-2"
    with pytest.raises(UnauthenticatedError, match="it tells of two persons"):
        await Client(provider).sign_in()


async def test_groups_below_a_claim(provider: FakeOidcProvider) -> None:
    client = Client(provider, groups_claim="realm_access.roles")
    who = await client.sign_in(preferred_username="mia", realm_access={"roles": ["staff"]})
    assert who.groups == ("staff",)
    named = Client(provider, groups_claim="https://example.org/groups")
    provider.claims = {"https://example.org/groups": ["a"]}
    who = await named.sign_in(preferred_username="mia")
    assert who.groups == ("a",)


BROKEN = {
    "is no JSON": Raw(b"<html>", 200, {"Content-Type": "text/html"}),
    "is JSON of another type": Raw(b"{}", 200, {"Content-Type": "text/plain"}),
    "is half": Raw(b'{"issuer": ', 200, JSON),
    "is a list": Raw(b"[]", 200, JSON),
    "nests": Raw(b"[" * 100_000, 200, JSON),
    "is huge": Raw(b'{"x": "' + b"x" * MAX_ANSWER_BYTES + b'"}', 200, JSON),
    "says to be huge": Raw(b"{}", 200, JSON | {"Content-Length": "99999999999"}),
    "is a bomb": Raw(gzip.compress(b" " * 1_000_000), 200, JSON | {"Content-Encoding": "gzip"}),
    "leads elsewhere": Raw(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    "is not there": Raw(b"{}", 404, JSON),
    "is a failure": Raw(b"oops", 500, {"Content-Type": "text/plain"}),
    "has a head without end": Raw(b"", 200, JSON | {"X-Long": "x" * 200_000}),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("path", [DISCOVERY, JWKS, TOKEN, USERINFO])
async def test_answers_that_are_none(provider: FakeOidcProvider, path: str, what: str) -> None:
    provider.raw[path] = BROKEN[what]
    with pytest.raises((UnavailableError, UnauthenticatedError), match=r"the provider") as caught:
        await Client(provider).sign_in()
    assert "oops" not in str(caught.value)
    assert caught.value.code in ("oidc_away", "oidc_refused")


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": 5},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:word@idp.example/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://idp.example/a b"},
        {"end_session_endpoint": "//idp.example/end"},
        {"userinfo_endpoint": "https://[::1"},
    ],
)
async def test_what_it_tells_of_itself_is_checked(provider: FakeOidcProvider, metadata: dict[str, Any]) -> None:
    provider.metadata = metadata
    with pytest.raises(UnavailableError, match=r"names no address over HTTPS|says that it is another one"):
        await Client(provider).sign_in()


@pytest.mark.parametrize("keys", [{}, {"keys": 5}, {"keys": [5]}, {"keys": [{"kty": "oct", "k": "AA"}] * 10_000}])
async def test_sets_of_keys_that_are_none(provider: FakeOidcProvider, keys: Any) -> None:
    provider.raw[JWKS] = Raw.of(keys)
    with pytest.raises(UnavailableError, match=r"names (no|more than 100) keys|answers with more than"):
        await Client(provider).sign_in()


async def test_an_issuer_over_https_leads_nobody_to_plain_http() -> None:
    from gamekeeper.oidc.metadata import Metadata

    issuer = "https://idp.example"
    told = {name: f"{issuer}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    assert Metadata.of(told | {"issuer": issuer}, issuer).end_session_endpoint == ""
    with pytest.raises(UnavailableError, match="names no address over HTTPS as its jwks_uri"):
        Metadata.of(told | {"issuer": issuer, "jwks_uri": "http://127.0.0.1/jwks"}, issuer)


@pytest.mark.parametrize("path", [DISCOVERY, TOKEN, JWKS])
async def test_one_that_does_not_answer_is_waited_for_a_moment(provider: FakeOidcProvider, path: str) -> None:
    released = asyncio.Event()

    async def wait() -> None:
        await released.wait()

    provider.raw[path] = Raw(b"{}", 200, JSON, after=wait)
    client = Client(provider, seconds=0.3)
    with pytest.raises(UnavailableError, match=r"did not answer in 0\.3 s"):
        async with asyncio.timeout(HANG_SECONDS):
            await client.sign_in()
    released.set()


async def test_one_that_is_away_and_comes_back(provider: FakeOidcProvider) -> None:
    away = Client(provider, issuer=f"http://127.0.0.1:{free_port('127.0.0.1')}")
    with pytest.raises(UnavailableError, match=r"can't be reached: ConnectError"):
        await away.http.authorization_url("s", "n", "c")
    client = Client(provider)
    provider.raw[DISCOVERY] = BROKEN["is a failure"]
    with pytest.raises(UnavailableError, match="answers with the status 500"):
        await client.sign_in()
    provider.raw.clear()
    assert (await client.sign_in()).subject == "s-1"


async def test_roots_that_can_not_be_read(provider: FakeOidcProvider, tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("no roots")
    with pytest.raises(UnavailableError, match="holds no roots that can be read; see GAMEKEEPER_OIDC_ROOTS"):
        await Client(provider, roots=tmp_path / "roots.pem").sign_in()


async def test_the_end_of_a_session_there(provider: FakeOidcProvider) -> None:
    url = await Client(provider).http.end_session_url()
    assert url == f"{provider.issuer}/end?client_id={CLIENT_ID}&post_logout_redirect_uri=http%3A%2F%2Flocalhost%2F"
    provider.metadata = {"end_session_endpoint": None}
    assert await Client(provider).http.end_session_url() == ""
