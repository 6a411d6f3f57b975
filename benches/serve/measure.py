"""Measures `pressrun serve` and nginx on the same files, in turn, on the same cores. See benches/serve.sh."""

import argparse
import gzip
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SERVER_CORE, CLIENT_CORE = 0, 1
# Other programs at work while we measure make a figure worthless; a row taken so is marked.
QUIET = 0.05

CONFIG = """\
newsroom:
  title: The Acero Advocate
  description: For measuring.
  url: https://acero-advocate.example/
  authority: acero-advocate.example
feeds:
  folder: feeds
  url: https://acero-advocate.example/feeds/
sections:
  - {slug: campus, title: Campus, description: For measuring.}
"""

# nginx at its best: no log, files kept open, compressed files made beforehand, connections kept.
NGINX = """\
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  types {{ application/rss+xml xml; }}
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 600;
  open_file_cache max=1000 inactive=600s;
  open_file_cache_valid 1s;
  gzip_static on;
  gzip_vary on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder};
    add_header Cache-Control "public, max-age=60";
  }}
}}
"""


def feed(articles, words):
    """An RSS document of so many articles, whose text compresses about as newspaper text does."""
    state = 20261122
    vocabulary = ["the", "river", "council", "of", "students", "library", "and", "a", "in", "measured", "evening",
                  "vote", "Tigris", "coffee", "to", "minutes", "for", "because", "bridge", "small", "que", "نهر"]
    items = []
    for n in range(articles):
        text = []
        for _ in range(words):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            word = vocabulary[(state >> 33) % len(vocabulary)]
            text.append(word if state >> 60 else f"{word}{(state >> 40) % 9973}")
        items.append(f"<item><title>Article {n}</title><link>https://acero-advocate.example/{n}</link>"
                     f'<guid isPermaLink="false">tag:acero-advocate.example,2026:{n}</guid>'
                     f"<description><![CDATA[<p>{' '.join(text)}</p>]]></description></item>\n")
    return ('<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel><title>The Acero Advocate</title>'
            "<link>https://acero-advocate.example/</link><description>News</description>\n"
            + "".join(items) + "</channel></rss>\n").encode()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, name, command, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", str(SERVER_CORE), *command],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"{name} does not answer")

    def pids(self):
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
                                  capture_output=True, text=True).stdout.split()
        return [self.process.pid, *map(int, children)]

    def memory(self):
        """Resident megabytes of the server's processes."""
        total = 0
        for pid in self.pids():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
        return total / 1024

    def head(self, path, headers):
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        status, *rest = answer.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in rest if ": " in line)
        return int(status.split()[1]), {name.lower(): value for name, value in pairs}

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def machine():
    """Processor time of the whole machine and its idle part, in ticks."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]))
    return sum(fields), fields[3] + fields[4]


def spent(pids):
    ticks = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except FileNotFoundError:
            pass
    return ticks


def wrk(server, path, headers, options):
    """Requests a second, p99 in ms, the server's processor time a request in µs, and whether the machine was ours."""
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s",
               "--latency"]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    (total0, idle0), ours0 = machine(), spent(server.pids())
    client0 = os.times()
    out = subprocess.run([*command, f"http://127.0.0.1:{server.port}{path}"], capture_output=True, text=True,
                         check=True).stdout
    (total1, idle1), ours1 = machine(), spent(server.pids())
    client1 = os.times()
    tick = os.sysconf("SC_CLK_TCK")
    client = (client1.children_user + client1.children_system - client0.children_user - client0.children_system) * tick
    foreign = ((total1 - total0) - (idle1 - idle0) - (ours1 - ours0) - client) / max(total1 - total0, 1)
    if wrong := re.search(r"Socket errors.*|Non-2xx.*", out):
        # wrk counts a 304 as fine.
        print(f"{server.name}, {path}: {wrong.group()}", file=sys.stderr)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    p99 = float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    return rate, p99, (ours1 - ours0) / tick / requests * 1e6, foreign


def compare(title, cases, servers, options):
    print(f"\n{title}\n")
    print("| request | nginx req/s | pressrun req/s | ratio | nginx p99 ms | pressrun p99 ms | CPU a request µs, nginx | pressrun |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, path, headers in cases:
        results = {server.name: [] for server in servers}
        asked = {}
        for server in servers:
            own = list(headers)
            if name.startswith("304"):
                own.append(("If-None-Match", server.head(path, headers)[1]["etag"]))
                assert server.head(path, own)[0] == 304, (server.name, own)
            else:
                status, got = server.head(path, own)
                assert status == 200 and got.get("content-encoding", "") == dict(headers).get("Accept-Encoding", ""), got
            asked[server.name] = own
        for turn in range(options.rounds):
            for server in (servers if turn % 2 else servers[::-1]):
                results[server.name].append(wrk(server, path, asked[server.name], options))
        middle = {n: [statistics.median(r[i] for r in rounds) for i in range(4)] for n, rounds in results.items()}
        noisy = any(r[3] > QUIET for rounds in results.values() for r in rounds)
        theirs, ours = middle["nginx"], middle["pressrun"]
        print(f"| {name} | {theirs[0]:,.0f} | {ours[0]:,.0f} | **{ours[0] / theirs[0]:.2f}** | {theirs[1]:.2f} | {ours[1]:.2f} "
              f"| {theirs[2]:.1f} | {ours[2]:.1f} |{' ~' if noisy else ''}", flush=True)


class Crowd:
    """Idle connections that have had one answer each, and readers that take a few bytes at a time."""

    def __init__(self, server, idle, slow):
        self.idle, self.slow, self.ended = [], [], threading.Event()
        request = b"GET /feeds/small/rss.xml HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
        for _ in range(idle):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(request)
            self.idle.append(s)
        for s in self.idle:
            s.recv(65536)
        for _ in range(slow):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", server.port))
            s.sendall(b"GET /feeds/large/rss.xml HTTP/1.1\r\nHost: x\r\n\r\n")
            self.slow.append(s)
        self.thread = threading.Thread(target=self.sip)
        self.thread.start()

    def sip(self):
        while not self.ended.wait(0.5):
            for s in self.slow:
                s.setblocking(False)
                try:
                    s.recv(512)
                except OSError:
                    pass

    def alive(self):
        gone, poll = 0, select.poll()
        for s in self.idle:
            poll.register(s, select.POLLIN | select.POLLHUP)
        for _ in poll.poll(0):
            gone += 1
        return len(self.idle) - gone

    def end(self):
        self.ended.set()
        self.thread.join()
        for s in self.idle + self.slow:
            s.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pressrun", required=True)
    for name, default in [("rounds", 5), ("seconds", 3), ("connections", 64), ("idle", 10_000), ("slow", 50)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        folder.chmod(0o755)
        for name, document in [("small", feed(5, 120)), ("large", feed(50, 1_600))]:
            file = folder / "feeds" / name / "rss.xml"
            file.parent.mkdir(parents=True)
            file.write_bytes(document)
            file.with_name("rss.xml.gz").write_bytes(gzip.compress(document, 9))
            print(f"{name} feed: {len(document):,} bytes, {file.with_name('rss.xml.gz').stat().st_size:,} compressed")
        (folder / "articles").mkdir()
        (folder / "config.yaml").write_text(CONFIG)
        ports = free_port(), free_port()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=ports[0], files=options.idle + 5_000,
                                                        connections=options.idle + 4_000))
        nginx = Server("nginx", ["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"], ports[0])
        ours = Server("pressrun", [options.pressrun, "--quiet", "--config", f"{folder}/config.yaml", "serve", "--bind",
                                   f"127.0.0.1:{ports[1]}"], ports[1])
        servers = [nginx, ours]
        gz = [("Accept-Encoding", "gzip")]
        cases = [
            ("304", "/feeds/small/rss.xml", []),
            ("304, gzip", "/feeds/small/rss.xml", gz),
            ("small feed", "/feeds/small/rss.xml", []),
            ("small feed, gzip", "/feeds/small/rss.xml", gz),
            ("large feed", "/feeds/large/rss.xml", []),
            ("large feed, gzip", "/feeds/large/rss.xml", gz),
        ]
        try:
            compare("### The load alone", cases, servers, options)
            if options.idle:
                print(f"\n### {options.idle:,} idle connections and {options.slow} slow readers beside it\n")
                for server in servers:
                    before = server.memory()
                    crowd = Crowd(server, options.idle, options.slow)
                    time.sleep(1)
                    with_crowd = server.memory()
                    rounds = [wrk(server, "/feeds/small/rss.xml", gz, options) for _ in range(options.rounds)]
                    rate, p99 = (statistics.median(r[i] for r in rounds) for i in (0, 1))
                    print(f"{server.name}: {rate:,.0f} req/s of the small feed, gzip; p99 {p99:.2f} ms; memory {before:.1f} MB "
                          f"alone, {with_crowd:.1f} MB with the crowd; {crowd.alive():,} of the idle still connected", flush=True)
                    crowd.end()
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
