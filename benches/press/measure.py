"""Times `pressrun send` and smtp-source in turns against one smtp-sink; prints medians and their ratio."""
import argparse
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

CONNECTIONS = 10
MAIL = 20 * 1024
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
smtp: {{mails_per_connection: 100000}}
press: {{connections: {connections}}}
public: {{url: https://news.bench.example/, unsubscribe_mailbox: leave@bench.example, return_path: bounces@bench.example}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sink:
    """smtp-sink, which takes everything and keeps nothing."""

    def __enter__(self):
        self.port = free_port()
        command = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"]
        if os.geteuid():
            del command[1:3]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise SystemExit("smtp-sink does not listen")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run(*command, cwd=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def newsroom(folder, pressrun, readers, signed):
    """A newsroom whose next edition is approved for so many readers, and whose mails have about the wanted size."""
    (folder / "articles/news").mkdir(parents=True)
    config = CONFIG.format(connections=CONNECTIONS)
    if signed:
        run(pressrun, "dkim", "new", "--domain", "bench.example", "--selector", "bench", "--to", folder / "keys")
        config += f"dkim: {{keys: [{{selector: bench, file: {next((folder / 'keys').glob('*.pem'))}}}]}}\n"
    (folder / "config.yaml").write_text(config)
    rows = "".join(f"reader{n:07d}@example.net,confirmed\n" for n in range(readers))
    (folder / "subscribers.csv").write_text("email,state\n" + rows)
    words, size = 300, 0
    for _ in range(6):
        text = " ".join(f"word{n % 97}" for n in range(words))
        article = f"---\ntitle: A piece\ndate: 2026-03-01T08:00:00Z\nauthors: [A. Reporter]\nid: tag:bench.example,2026:a\n---\n\n{text}\n"
        (folder / "articles/news/piece.md").write_text(article)
        shutil.rmtree(folder / "var/preview", ignore_errors=True)
        run(pressrun, "preview", "news", cwd=folder)
        size = next((folder / "var/preview").glob("*.eml")).stat().st_size
        words = max(10, int(words + (MAIL - size) / 14))
    start = time.monotonic()
    run(pressrun, "edition", "new", "news", cwd=folder)
    run(pressrun, "edition", "approve", "1", cwd=folder)
    return size, time.monotonic() - start


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--pressrun", required=True, type=Path)
    p.add_argument("--readers", type=int, default=20_000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--signed", action="store_true", help="with an RSA-2048 key, signed ahead at the approval")
    args = p.parse_args()
    ours, theirs = [], []
    for n in range(args.rounds):
        with tempfile.TemporaryDirectory() as work, Sink() as sink:
            folder = Path(work)
            size, sealing = newsroom(folder, args.pressrun, args.readers, args.signed)
            start = time.monotonic()
            told = run(args.pressrun, "--transport", f"smtp://127.0.0.1:{sink.port}", "send", "news", cwd=folder)
            ours.append(args.readers / (time.monotonic() - start))
            if f"{args.readers:,} accepted" not in told:
                raise SystemExit(f"not all were accepted: {told}")
            start = time.monotonic()
            run("smtp-source", "-d", "-s", CONNECTIONS, "-l", size, "-m", args.readers, "-f", "a@bench.example",
                "-t", "b@example.net", f"127.0.0.1:{sink.port}")
            theirs.append(args.readers / (time.monotonic() - start))
        print(f"round {n + 1}: pressrun {ours[-1]:,.0f}/s, smtp-source {theirs[-1]:,.0f}/s, ratio {ours[-1] / theirs[-1]:.2f}; "
              f"mail {size:,} octets; import, seal, approve{' and sign' if args.signed else ''} {sealing:.1f} s", flush=True)
    print(f"median of {args.rounds}: pressrun {statistics.median(ours):,.0f}/s, smtp-source {statistics.median(theirs):,.0f}/s, "
          f"ratio {statistics.median(o / t for o, t in zip(ours, theirs)):.2f}")


if __name__ == "__main__":
    main()
