"""Times sign-ups and one-click unsubscribes against `pressrun serve` while `pressrun send` works on the same ledger; then counts."""
import argparse
import email
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

THREADS = 2
MANY = 1_000_000  # the most that the configuration takes; so many at once, and more than come
CONFIG = f"""newsroom: {{title: The Bench, description: Made for timing., url: https://bench.example/, authority: bench.example}}
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
    approval: automatic
subscribers: {{file: subscribers.csv, consent: made for timing}}
smtp: {{mails_per_connection: 100000}}
press: {{connections: 4}}
public: {{url: https://news.bench.example/, unsubscribe_mailbox: leave@bench.example, return_path: bounces@bench.example}}
serve: {{fill_time: 0s, per_network: {MANY}, per_domain: {MANY}, in_all: {MANY}}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, cwd):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def article(folder, n):
    text = " ".join(f"word{k % 97}" for k in range(600))
    (folder / f"articles/news/piece-{n}.md").write_text(
        f"---\ntitle: Piece {n}\ndate: 2026-03-0{n}T08:00:00Z\nauthors: [A. Reporter]\n---\n\n{text}\n")


def listed(folder, first, last):
    rows = "".join(f"reader{n:07d}@example.net,confirmed\n" for n in range(first, last))
    (folder / "subscribers.csv").write_text("email,state\n" + rows)


def one_click_paths(folder):
    """The path of each mail's List-Unsubscribe, as the readers of the first edition have it."""
    paths = []
    for mail in (folder / "outbox").glob("*.eml"):
        with mail.open("rb") as file:
            head = email.message_from_bytes(file.read(16_384))
        links = "".join(head["List-Unsubscribe"].split())
        address = next(link for link in links.replace("<", "").replace(">", "").split(",") if link.startswith("https:"))
        paths.append(urllib.parse.urlsplit(address).path)
    return paths


def wrk(at, mode, seconds, connections, **told):
    environment = {**os.environ, "BENCH_MODE": mode, "BENCH_THREADS": str(THREADS)}
    environment |= {f"BENCH_{name.upper()}": str(value) for name, value in told.items()}
    script = Path(__file__).with_name("readers.lua")
    done = subprocess.run(["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script, f"http://{at}/"],
                          env=environment, capture_output=True, text=True)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if done.returncode or line is None:
        raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
    answers, microseconds, p50, p99, p999, most, errors, short = map(int, line.split()[1:])
    if errors:
        raise SystemExit(f"{mode}: {errors} requests failed: {done.stdout}")
    if short:
        raise SystemExit("everybody has left before the time was over: take more --leaving")
    return answers, answers / (microseconds / 1e6), [value / 1000 for value in (p50, p99, p999, most)]


def tell(what, answers, rate, times):
    p50, p99, p999, most = times
    print(f"{what}: {rate:,.0f}/s ({answers:,} answers); p50 {p50:.1f} ms, p99 {p99:.1f} ms, p99.9 {p999:.1f} ms, longest {most:.0f} ms",
          flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--pressrun", required=True, type=Path)
    p.add_argument("--readers", type=int, default=200_000)
    p.add_argument("--leaving", type=int, default=60_000)
    p.add_argument("--seconds", type=int, default=8)
    p.add_argument("--connections", type=int, default=32)
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        measure(args, Path(work))


def measure(args, folder):
    (folder / "articles/news").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    article(folder, 1)
    listed(folder, 0, args.leaving)
    run(args.pressrun, "run", "--now", cwd=folder)
    paths = one_click_paths(folder)
    if len(set(paths)) != args.leaving:
        raise SystemExit(f"{len(set(paths))} addresses to leave at, and not {args.leaving}")
    (folder / "paths").write_text("\n".join(paths))
    listed(folder, args.leaving, args.readers)
    run(args.pressrun, "subscribers", "import", "subscribers.csv", "--consent", "made for timing", cwd=folder)
    article(folder, 2)

    port = free_port()
    sink = ["smtp-sink", *(["-u", "nobody"] if os.geteuid() == 0 else []), f"127.0.0.1:{port}", "1000"]
    processes = [subprocess.Popen(sink, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        relay = ["--transport", f"smtp://127.0.0.1:{port}"]
        at = f"127.0.0.1:{free_port()}"
        serve = subprocess.Popen([args.pressrun, *relay, "--quiet", "serve", "--no-press", "--bind", at], cwd=folder)
        processes.append(serve)
        for _ in range(200):
            try:
                page = urllib.request.urlopen(f"http://{at}/subscribe").read().decode()
                break
            except OSError:
                time.sleep(0.05)
        stamp = page.split('name="stamp" value="')[1].split('"')[0]

        send = subprocess.Popen([args.pressrun, *relay, "send", "news"], cwd=folder, stdout=subprocess.PIPE, text=True)
        processes.append(send)
        ledger = sqlite3.connect(f"file:{folder}/var/ledger.sqlite?mode=ro", uri=True)
        while not count(ledger, "SELECT count(*) FROM delivery WHERE edition = (SELECT max(id) FROM edition) AND state = 3 LIMIT 1"):
            time.sleep(0.2)
        print(f"an edition to {args.readers:,} readers is under way", flush=True)
        came = wrk(at, "join", args.seconds, args.connections, stamp=stamp)
        left = wrk(at, "leave", args.seconds, args.connections, paths=folder / "paths")
        under_way = send.poll() is None
        tell("sign-ups", *came)
        tell("one clicks", *left)

        told = send.communicate()[0]
        serve.terminate()
        if send.returncode or serve.wait():
            raise SystemExit(f"a process failed: send {send.returncode}, serve {serve.returncode}")
        sys.exit(check(ledger, came[0], left[0], args, under_way, told))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def count(ledger, query):
    return ledger.execute(query).fetchone()[0]


def check(ledger, came, left, args, under_way, told):
    """What was answered is in the ledger; nobody who had left was mailed, and everybody else was, once."""
    # wrk hangs up on the last ones: they may be written down and not answered, but never the other way round.
    lost = []
    asked = count(ledger, "SELECT count(*) FROM request WHERE kind = 'subscribe'")
    pending = count(ledger, "SELECT count(*) FROM subscription WHERE state = 'pending'")
    ended = count(ledger, "SELECT count(*) FROM subscription WHERE state = 'ended' AND digest = 'news'")
    if not (came <= asked <= came + args.connections and pending == asked):
        lost.append(f"sign-ups: {came:,} answered, {asked:,} written down, {pending:,} pending")
    if not left <= ended <= left + args.connections:
        lost.append(f"one clicks: {left:,} answered, {ended:,} have left")
    states = dict(ledger.execute(
        "SELECT state, count(*) FROM delivery WHERE edition = (SELECT max(id) FROM edition) GROUP BY state"))
    accepted, withdrawn = states.pop(3, 0), sum(states.values())
    print(f"counted: {asked:,} sign-ups, {ended:,} left; {accepted:,} mails accepted, {withdrawn:,} withdrawn in time")
    if accepted + withdrawn != args.readers or len(states) > 1 or f"{accepted:,} accepted" not in told:
        lost.append(f"deliveries: {accepted:,} + {states}: {told}")
    if not under_way:
        lost.append("the send was over before the readers were: take more --readers")
    for line in lost:
        print(f"LOST: {line}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    main()
