"""Mail, by the SMTP server of whoever runs the control plane."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import SplitResult, unquote, urlsplit

from gamekeeper.channels.address import AddressGuard
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.message import Message
from gamekeeper.errors import MessageRefusedError, UnavailableError

STEP_SECONDS = 10.0  # for each answer of the server
Refused = Mapping[str, tuple[int, bytes]]
PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


class _ToAddress(smtplib.SMTP):
    """Connects to the first of the addresses that answers, all of which were judged, while the certificate is checked
    by the name."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(timeout=STEP_SECONDS)
        self._addresses = addresses

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._host = host  # by which STARTTLS checks the certificate
        *others, last = self._addresses
        for address in others:
            with suppress(OSError):
                return socket.create_connection((address, port), timeout)
        return socket.create_connection((last, port), timeout)


class _ToAddressByTls(_ToAddress):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = super()._get_socket(host, port, timeout)
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


class MailSender:
    def __init__(self, guard: AddressGuard, threads: Executor) -> None:
        self._guard = guard
        self._threads = threads

    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        """As ``Sender`` says it. The message's id is its Message-ID, so mailboxes see a second one as the first."""
        parts = urlsplit(secret.url)
        port = parts.port or PORTS[parts.scheme]
        addresses = await self._guard.resolve(parts.hostname or "", port)
        loop = asyncio.get_running_loop()
        try:
            refused = await loop.run_in_executor(self._threads, _send, parts, port, addresses, mail_of(spec, message))
        except smtplib.SMTPResponseException as error:
            words = f"SMTP {error.smtp_code}: {_text(error.smtp_error)}"
            kind = MessageRefusedError if 500 <= error.smtp_code < 600 else UnavailableError
            raise kind(words) from error
        except smtplib.SMTPRecipientsRefused as error:
            is_final = all(500 <= code < 600 for code, _ in error.recipients.values())  # else some may be taken later
            words = f"it takes none of the readers: {_readers(error.recipients)}"
            raise (MessageRefusedError if is_final else UnavailableError)(words) from error
        except (smtplib.SMTPException, OSError) as error:
            raise UnavailableError(f"{type(error).__name__}: {error}"[:200]) from error
        return f"taken, but not for {_readers(refused)}" if refused else "taken by the mail server"


def mail_of(spec: ChannelSpec, message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = spec.sender, ", ".join(spec.to)
    mail["Subject"] = " ".join(message.title.split())[:200]
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{message.id}@{spec.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    links = [f"{name}: {url}" for name, url in message.links.items()]
    mail.set_content("\n".join([message.text, "", *links]))
    return mail


def _send(parts: SplitResult, port: int, addresses: Sequence[str], mail: EmailMessage) -> Refused:
    """The readers that the server does not take, where it takes others."""
    host = parts.hostname or ""
    client = _ToAddressByTls(addresses) if parts.scheme == "smtps" else _ToAddress(addresses)
    try:
        client.connect(host, port)
        if parts.scheme == "smtp+starttls":
            client.starttls(context=ssl.create_default_context())
        if parts.username:
            client.login(unquote(parts.username), unquote(parts.password or ""))
        return client.send_message(mail)
    finally:
        client.close()


def _readers(refused: Refused) -> str:
    return ", ".join(f"{reader} (SMTP {code}: {_text(words)})" for reader, (code, words) in refused.items())[:250]


def _text(words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join(text.split())[:150]
