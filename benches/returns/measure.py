#!/usr/bin/env python3
"""Makes a newsroom, sends an edition into a folder, lets mails come back, and reads them; see benches/returns.sh."""

import argparse
import base64
import csv
import hmac
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import time

CASES = pathlib.Path("tests/it/returned")
NOBODY = "bounces+" + "token" * 8 + "@return.small-paper.example"
CONFIG = """newsroom:
  title: The Small Paper
  description: A paper for measuring.
  url: https://small-paper.example/
  authority: small-paper.example
sections:
  - { slug: news, title: News, description: What is new. }
digests:
  - slug: news
    title: News by mail
    description: All news.
    sections: [news]
    from: The Small Paper <news@small-paper.example>
    subject: "{{first.title}}"
    approval: automatic
    schedule: "0 7 * * FRI"
subscribers: { file: subscribers.csv, consent: made for measuring }
public: { url: "https://news.small-paper.example/" }
returns: { address: "bounces+{token}@return.small-paper.example" }
"""
# One in so many is forged, and one in so many is there twice.
FORGED, TWICE = 50, 20


def token(keys, delivery):
    """As src/subscriber/token/returning.rs makes it."""
    number, secret = keys
    derive = lambda label: hmac.digest(secret, label, "sha256")
    sign, hide = derive(b"pressrun return sign\x01"), derive(b"pressrun return hide\x01")
    content, version = struct.pack(">q", delivery), bytes([number])
    tag = hmac.digest(sign, version + content, "sha256")[:16]
    stream = hmac.digest(hide, version + tag, "sha256")
    hidden = bytes(a ^ b for a, b in zip(content, stream))
    return base64.b32encode(version + tag + hidden).decode().lower()


def key(room):
    lines = [line for line in (room / "var/link.keys").read_text().splitlines() if line and not line.startswith("#")]
    number, text = lines[-1].split(":")
    return int(number), base64.b64decode(text)


def run(pressrun, room, *arguments):
    """Runs it; answers what it said, its seconds of processor, and the most memory it took, in MB."""
    child = subprocess.Popen([pressrun, "--json", *arguments], cwd=room, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, (arguments, child.returncode, out)
    events = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    return events, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pressrun", required=True)
    parser.add_argument("--mails", type=int, default=10_000)
    arguments = parser.parse_args()
    with open(CASES / "expected.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["kind"] in ("bounce", "delay", "complaint", "arrival")]
    texts = {row["case"]: (CASES / (row["case"] + ".eml")).read_text() for row in rows}

    room = pathlib.Path(tempfile.mkdtemp(prefix="pressrun-returns"))
    try:
        (room / "config.yaml").write_text(CONFIG)
        (room / "articles/news").mkdir(parents=True)
        article = "---\ntitle: The first piece\ndate: 2026-03-01T08:00:00Z\nauthors: [A. Reporter]\n---\n\nA short text.\n"
        (room / "articles/news/first.md").write_text(article)
        readers = [f"reader{n:06}@example.net,confirmed\n" for n in range(arguments.mails)]
        (room / "subscribers.csv").write_text("email,state\n" + "".join(readers))
        run(arguments.pressrun, room, "run", "--now")

        ledger = sqlite3.connect(room / "var/ledger.sqlite")
        deliveries = [row[0] for row in ledger.execute("SELECT id FROM delivery ORDER BY id")]
        assert len(deliveries) == arguments.mails
        keys, new = key(room), room / "returned/new"
        new.mkdir(parents=True)
        wanted, names, written = {}, 0, []
        place = 0
        while len(written) < arguments.mails:
            row, delivery = rows[place % len(rows)], deliveries[place]
            place += 1
            text = token(keys, delivery)
            forged = place % FORGED == 0
            if forged:
                text = text[:20] + ("a" if text[20] != "a" else "b") + text[21:]
            # Each a mail of its own: its Message-ID is one of a kind.
            mail = texts[row["case"]].replace(NOBODY, f"bounces+{text}@return.small-paper.example")
            mail = mail.replace("<return.", f"<return.{place}.")
            copies = 2 if place % TWICE == 0 else 1
            for _ in range(copies):
                name = f"{names:08}.mail"
                names += 1
                (new / name).write_text(mail)
                written.append(name)
            if not forged:
                wanted[delivery] = row["kind"]

        began = time.monotonic()
        events, seconds, memory = run(arguments.pressrun, room, "returns", "returned")
        took = time.monotonic() - began
        told = next(event for event in events if event["event"] == "returns")
        assert told["read"] == len(written), (told, len(written))
        assert not list(new.iterdir()), "some were left"
        assert len(list((room / "returned/cur").iterdir())) == len(written), "some were lost"

        def standing():
            found = dict(ledger.execute("SELECT returned, count(*) FROM delivery WHERE returned IS NOT NULL GROUP BY 1"))
            return found, ledger.execute("SELECT count(*) FROM returned").fetchone()[0]

        stands = standing()
        kinds = list(wanted.values())
        assert stands == ({8: kinds.count("bounce"), 9: kinds.count("complaint")}, len(kinds)), (stands, len(kinds))

        # All of them once more.
        shutil.move(room / "returned/cur", room / "again")
        (room / "returned/cur").mkdir()
        for path in (room / "again").iterdir():
            shutil.move(path, new / path.name.split(":")[0])
        events, again, _ = run(arguments.pressrun, room, "returns", "returned")
        assert standing() == stands, "some were counted twice"
        told_again = next(event for event in events if event["event"] == "returns")
        assert set(told_again["what"]) == {"again", "forged"}, told_again

        size = sum(len(text) for text in texts.values()) / len(texts)
        print(f"mails        {len(written):,} of {len(rows)} forms, {size / 1024:.1f} KB on average")
        print(f"read         {told['what']}")
        print(f"rate         {len(written) / took:,.0f} a second; {seconds / len(written) * 1e6:.0f} µs of processor a mail")
        print(f"read again   {again / len(written) * 1e6:.0f} µs of processor a mail, nothing changed")
        print(f"memory       {memory:.0f} MB at most")
    finally:
        shutil.rmtree(room, ignore_errors=True)


if __name__ == "__main__":
    main()
