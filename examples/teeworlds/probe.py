#!/usr/bin/env python3
"""Asks a Teeworlds 0.7 server for its state, as the game's own server browser does, and prints the answer.

    probe.py HOST PORT     exit code 0 when the server answers, 1 when it does not

The protocol (Teeworlds src/engine/shared/network.cpp): a token request in a control packet, padded to 512 bytes so
that the server can't be used to amplify traffic; then a connectionless packet with both tokens.
"""

import os
import socket
import sys
import time

CONTROL, CONNLESS = 0x04, 0x21
TOKEN_MESSAGE = b"\x05"
TOKEN_REQUEST_BYTES = 512
GET_INFO, INFO = b"\xff\xff\xff\xffgie3", b"\xff\xff\xff\xffinf3"
TRIES, TRY_SECONDS = 5, 1.0


def ask(connection, request, matches):
    """Sends until an answer fits: datagrams get lost."""
    for _ in range(TRIES):
        connection.send(request)
        deadline = time.monotonic() + TRY_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                answer = connection.recv(2048)
            except (TimeoutError, ConnectionRefusedError):
                break
            if matches(answer):
                return answer
    raise TimeoutError


def read_int(data):
    """Teeworlds' variable-length integer: (value, the rest)."""
    sign, value, shift, index = (data[0] >> 6) & 1, data[0] & 0x3F, 6, 0
    while data[index] & 0x80:
        index += 1
        value |= (data[index] & 0x7F) << shift
        shift += 7
    return (~value if sign else value), data[index + 1 :]


def read_info(data):
    """The fields of an info answer."""
    _, data = read_int(data)
    info = {}
    for name in ("version", "name", "hostname", "map", "gametype"):
        text, _, data = data.partition(b"\0")
        info[name] = text.decode(errors="replace")
    for name in ("flags", "skill", "players", "max_players", "clients", "max_clients"):
        info[name], data = read_int(data)
    return info


def probe(host, port):
    token = os.urandom(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect((host, port))
        begin = time.monotonic()
        request = bytes([CONTROL, 0, 0]) + b"\xff" * 4 + TOKEN_MESSAGE + token
        answer = ask(
            connection,
            request.ljust(TOKEN_REQUEST_BYTES + 8, b"\0"),
            lambda data: len(data) >= 12 and data[0] == CONTROL and data[3:8] == token + TOKEN_MESSAGE,
        )
        head = bytes([CONNLESS]) + answer[8:12] + token
        answer = ask(connection, head + GET_INFO + b"\x01", lambda data: data[9:17] == INFO)
        return read_info(answer[17:]), time.monotonic() - begin


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    try:
        info, seconds = probe(host, port)
    except (TimeoutError, OSError) as error:
        print(f"no Teeworlds server answers at {host}:{port}/udp ({type(error).__name__})")
        return 1
    print(f"{info['name']!r} answers at {host}:{port}/udp in {seconds * 1000:.0f} ms")
    print(f"version {info['version']}, map {info['map']}, game {info['gametype']}")
    print(f"{info['players']} of {info['max_players']} players, {info['clients']} of {info['max_clients']} clients")
    return 0


if __name__ == "__main__":
    sys.exit(main())
