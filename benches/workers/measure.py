"""Times `pressrun work` on several processes, and the ledger's claims and settlements, on a private PostgreSQL."""
import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ANSWER = 0.020
CONFIG = """newsroom: {{title: The Bench, description: Made for timing., url: https://bench.example/, authority: bench.example}}
feeds: {{url: https://bench.example/feeds/}}
sections: [{{slug: news, title: News, description: What is new.}}]
digests:
  - slug: news
    title: News by mail
    description: All news.
    sections: [news]
    from: The Bench <news@bench.example>
    subject: "{{{{first.title}}}}"
    preheader: "{{{{first.summary}}}}"
    approval: editor
subscribers: {{file: subscribers.csv, consent: made for timing}}
ledger: {ledger}
press: {{connections: 4}}
public: {{url: https://news.bench.example/, unsubscribe_mailbox: leave@bench.example, return_path: bounces@bench.example}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, cwd=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class Postgres:
    """A server of our own, durable as Debian ships it."""

    def __enter__(self):
        newest = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]), default=None)
        if newest is None:
            raise SystemExit("benches/workers.sh: PostgreSQL is missing (Debian: postgresql)")
        self.bin, self.port = newest.parent, free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="pressrun-bench-", dir="/var/tmp")
        home = Path(self.folder.name)
        self.drop = []
        if os.geteuid() == 0:
            run("chown", "nobody", home)
            self.drop = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        self.data = home / "data"
        run(*self.drop, self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", cwd="/")
        options = f"-p {self.port} -k {home} -h 127.0.0.1"
        run(*self.drop, self.bin / "pg_ctl", "-D", self.data, "-l", home / "log", "-w", "-o", options, "start", cwd="/")
        return self

    def __exit__(self, *_):
        run(*self.drop, self.bin / "pg_ctl", "-D", self.data, "-m", "immediate", "stop", cwd="/")
        self.folder.cleanup()

    def database(self, name):
        run(self.bin / "psql", "-X", "-q", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-c", f"CREATE DATABASE {name}")
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"


class Slow:
    """A mail server that answers each command after 20 ms, and keeps the moments of its mails."""

    def __init__(self):
        self.taken, self.port = [], free_port()
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    async def serve(self, ready):
        server = await asyncio.start_server(self.talk, "127.0.0.1", self.port)
        ready.set()
        async with server:
            await server.serve_forever()

    async def talk(self, reader, writer):
        async def say(text):
            await asyncio.sleep(ANSWER)
            writer.write(text)

        try:
            await say(b"220 slow\r\n")
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"EHLO":
                    await say(b"250-slow\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif word == b"DATA":
                    await say(b"354 go\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    self.taken.append(time.monotonic())
                    await say(b"250 taken\r\n")
                elif word == b"QUIT":
                    await say(b"221 bye\r\n")
                    break
                else:
                    await say(b"250 fine\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()


def workers(pressrun, ledger, readers, count):
    """Mails a second, from the first to the last that the server took."""
    with tempfile.TemporaryDirectory() as work:
        folder, slow = Path(work), Slow()
        (folder / "articles/news").mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG.format(ledger=ledger))
        (folder / "articles/news/piece.md").write_text("---\ntitle: A piece\ndate: 2026-03-01T08:00:00Z\nauthors: [A. Reporter]\n---\n\nText.\n")
        (folder / "subscribers.csv").write_text("email,state\n" + "".join(f"r{n:06d}@example.net,confirmed\n" for n in range(readers)))
        run(pressrun, "edition", "new", "news", cwd=folder)
        run(pressrun, "edition", "approve", "1", cwd=folder)
        command = [pressrun, "--quiet", "--transport", f"smtp://127.0.0.1:{slow.port}", "work", "--until-done"]
        at_work = [subprocess.Popen(command, cwd=folder) for _ in range(count)]
        if any(worker.wait() for worker in at_work):
            raise SystemExit("a worker failed")
        if len(slow.taken) != readers:
            raise SystemExit(f"{len(slow.taken)} mails came for {readers} readers")
        return (readers - 1) / (max(slow.taken) - min(slow.taken))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--pressrun", required=True, type=Path)
    p.add_argument("--bench", required=True, type=Path)
    p.add_argument("--readers", type=int, default=2000)
    p.add_argument("--deliveries", type=int, default=100_000)
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    with Postgres() as postgres:
        rates = {1: [], 4: []}
        for n in range(args.rounds):
            for count in rates:
                rates[count].append(workers(args.pressrun, postgres.database(f"work{n}x{count}"), args.readers, count))
            print(f"round {n + 1}: 1 worker {rates[1][-1]:,.1f}/s, 4 workers {rates[4][-1]:,.1f}/s, "
                  f"ratio {rates[4][-1] / rates[1][-1]:.2f}", flush=True)
        ratio = statistics.median(four / one for one, four in zip(rates[1], rates[4]))
        print(f"median of {args.rounds}: 4 workers send {ratio:.2f} times as fast as one (wanted: 3.6)", flush=True)
        for count in (1, 2, 4):
            print(run(args.bench, postgres.database(f"ledger{count}"), count, args.deliveries).strip(), flush=True)


if __name__ == "__main__":
    main()
