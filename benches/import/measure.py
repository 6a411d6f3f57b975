"""Times `pressrun subscribers import` of a generated list; prints seconds, processor time and peak memory of each run."""
import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

CONFIG = """newsroom: {title: The Bench, description: Made for timing., url: https://bench.example/, authority: bench.example}
feeds: {url: https://bench.example/feeds/}
sections: [{slug: news, title: News, description: What is new.}]
digests:
  - slug: news
    title: News by mail
    description: All news.
    sections: [news]
    from: The Bench <news@bench.example>
    subject: "{{first.title}}"
public: {url: https://news.bench.example/, unsubscribe_mailbox: leave@bench.example, return_path: bounces@bench.example}
"""
HOSTS = ["example.org", "example.net", "mail.example.com", "münchen.example"]


def write(path, rows):
    """A list as it comes out of another program: every tenth has left, every hundredth bounced."""
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write("email,name,state,since,consent,language\r\n")
        for n in range(rows):
            state = "bounced" if n % 100 == 7 else "ended" if n % 10 == 3 else "confirmed"
            # In no order, as people sign up.
            key = n * 7_368_787 % 10_000_019
            day = f"20{10 + n % 16:02}-{1 + n % 12:02}-{1 + n % 28:02}"
            f.write(f'reader.{key}@{HOSTS[n % 4]},"Reader, No. {n}",{state},{day},sign-up sheet,en\r\n')


def run(command, cwd):
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed: {process.returncode}\n{said}")
    return time.monotonic() - begun, used, said.strip().splitlines()[-1]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pressrun", required=True)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        (room / "config.yaml").write_text(CONFIG, encoding="utf-8")
        (room / "articles/news").mkdir(parents=True)
        write(room / "list.csv", options.rows)
        size = (room / "list.csv").stat().st_size
        print(f"{options.rows:,} rows, {size / 1e6:.0f} MB; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        command = [options.pressrun, "subscribers", "import", "list.csv"]
        for told in ["first", "again"]:
            wall, used, said = run(command, room)
            cpu = used.ru_utime + used.ru_stime
            rate = options.rows / wall
            print(f"{told}: {wall:.1f} s ({rate:,.0f} rows/s), {cpu:.1f} s of processor, {used.ru_maxrss / 1024:.0f} MB; {said}")


if __name__ == "__main__":
    main()
