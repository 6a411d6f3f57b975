"""A newsroom with an approved edition, a sink for its mails, and processes whose processor time is known."""
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

CONNECTIONS = 10
MAIL = 20 * 1024
CORES = len(os.sched_getaffinity(0))
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


class Ran:
    """A process that has ended well: what it said, its seconds on the clock and on the processor, its peak of memory."""

    def __init__(self, *command, cwd=None, line=None):
        start = time.monotonic()
        with subprocess.Popen([str(c) for c in command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            said = []
            for text in process.stdout:
                said.append(text)
                if line:
                    line(text, time.monotonic() - start)
            self.said = "".join(said)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.wall = time.monotonic() - start
        self.cpu = used.ru_utime + used.ru_stime
        self.peak = used.ru_maxrss / 1024
        if process.returncode:
            raise SystemExit(f"{command}: {self.said}")


class Sink:
    """smtp-sink, which takes everything and keeps nothing."""

    def __enter__(self):
        self.port = free_port()
        command = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"]
        if os.geteuid():
            del command[1:3]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def cpu(self):
        """Seconds on the processor so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


class Newsroom:
    """A newsroom whose next edition is approved for so many readers, and whose mails have about the wanted size.

    `keys`: None, "ahead" (signed when it is approved) or "in line" (the key comes after that)."""

    def __init__(self, folder, pressrun, readers, keys=None, mail=MAIL):
        self.folder, self.pressrun, self.readers = Path(folder), pressrun, readers
        (self.folder / "articles/news").mkdir(parents=True)
        config = CONFIG.format(connections=CONNECTIONS)
        signed = config
        if keys:
            self.run("dkim", "new", "--domain", "bench.example", "--selector", "bench", "--to", self.folder / "keys")
            signed += f"dkim: {{keys: [{{selector: bench, file: {next((self.folder / 'keys').glob('*.pem'))}}}]}}\n"
        (self.folder / "config.yaml").write_text(signed if keys == "ahead" else config)
        with open(self.folder / "subscribers.csv", "w") as rows:
            rows.write("email,state\n")
            rows.writelines(f"reader{n:07d}@example.net,confirmed\n" for n in range(readers))
        words = 300
        for _ in range(6):
            text = " ".join(f"word{n % 97}" for n in range(words))
            article = f"---\ntitle: A piece\ndate: 2026-03-01T08:00:00Z\nauthors: [A. Reporter]\nid: tag:bench.example,2026:a\n---\n\n{text}\n"
            (self.folder / "articles/news/piece.md").write_text(article)
            shutil.rmtree(self.folder / "var/preview", ignore_errors=True)
            self.run("preview", "news")
            self.mail = next((self.folder / "var/preview").glob("*.eml")).stat().st_size
            words = max(10, int(words + (mail - self.mail) / 14))
        self.sealing = self.run("edition", "new", "news")
        self.approving = self.run("edition", "approve", "1")
        (self.folder / "config.yaml").write_text(signed)

    def run(self, *arguments, line=None):
        return Ran(self.pressrun, *arguments, cwd=self.folder, line=line)

    def send(self, port, *options, line=None):
        """Sends the edition; all of it must be accepted."""
        sent = self.run("--transport", f"smtp://127.0.0.1:{port}", *options, "send", "news", line=line)
        if "--json" not in options and f"{self.readers:,} accepted" not in sent.said:
            raise SystemExit(f"not all were accepted: {sent.said}")
        return sent


def smtp_source(port, mails, size):
    return Ran("smtp-source", "-d", "-s", CONNECTIONS, "-l", size, "-m", mails, "-f", "a@bench.example", "-t", "b@example.net",
               f"127.0.0.1:{port}")
