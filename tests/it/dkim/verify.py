"""Verifies DKIM signatures with dkimpy.

Standard input: JSON, {"records": {name: text}, "messages": [base64, ...]}.
Standard output: JSON, for each message a list: for each of its signatures from the top, whether it holds.
"""

import base64
import json
import sys

import dkim
import nacl  # Without it dkimpy cannot verify Ed25519, and says only "no".

asked = json.load(sys.stdin)


def look_up(name, timeout=5):
    return asked["records"].get(name.decode().rstrip("."), "").encode()


def verify(message):
    count = sum(line.lower().startswith(b"dkim-signature:") for line in message.split(b"\r\n\r\n", 1)[0].split(b"\r\n"))
    held = []
    for index in range(count):
        try:
            held.append(bool(dkim.DKIM(message).verify(idx=index, dnsfunc=look_up)))
        except dkim.DKIMException:
            held.append(False)
    return held


json.dump([verify(base64.b64decode(message)) for message in asked["messages"]], sys.stdout)
