"""Measures `pressrun publish` of many objects of which few have changed. See benches/publish.sh."""

import argparse
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import time

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
  - {{slug: campus, title: Campus, description: For measuring.}}
publish:
  - {{to: "s3://advocate/feeds", endpoint: "http://127.0.0.1:{port}/"}}
"""

# Takes every object, and keeps none: what is measured is who sends.
NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 500; }}
http {{
  access_log {folder}/requests.log;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      add_header ETag '"x"';
      if ($request_method = GET) {{ return 200 "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"; }}
      return 200;
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pressrun", required=True)
    for name, default in [("objects", 100_000), ("changed", 3), ("rounds", 3)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = pathlib.Path(temporary), free_port()
        # nginx gives up its rights, and has to come in.
        folder.chmod(0o755)
        files = []
        for n in range(options.objects):
            file = folder / f"feeds/tag/{n // 1_000}/archive/rss-{n:06}.xml"
            if n % 1_000 == 0:
                file.parent.mkdir(parents=True)
            file.write_text(f"<rss>{n}</rss>")
            files.append(file)
        (folder / "articles").mkdir()
        (folder / "config.yaml").write_text(CONFIG.format(port=port))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        nginx = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"])
        log = folder / "requests.log"

        def requests():
            return log.read_bytes().count(b"\n") if log.exists() else 0

        def publish():
            before, start, used = requests(), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            environment = os.environ | {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
            subprocess.run([options.pressrun, "--quiet", "--config", folder / "config.yaml", "publish"], check=True, env=environment)
            wall, now = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            time.sleep(0.2)
            return requests() - before, wall, now.ru_utime - used.ru_utime, now.ru_stime - used.ru_stime

        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            # A date of the last seconds says nothing of a file, and it would be read again.
            time.sleep(2.5)
            print("| | changed | requests | wall s | user s | system s |\n|---|--:|--:|--:|--:|--:|")

            def show(name, changed, wanted):
                sent, wall, user, system = publish()
                print(f"| {name} | {changed:,} | {sent:,} | {wall:.2f} | {user:.2f} | {system:.2f} |", flush=True)
                if sent != wanted:
                    sys.exit(f"{wanted} requests were wanted")

            # Without a record the store is asked once what it has.
            show("everything", options.objects, options.objects + 1)
            show("nothing changed", 0, 0)
            for turn in range(options.rounds):
                changed = [files[(turn * 7_919 + n * 104_729) % len(files)] for n in range(options.changed)]
                for file in changed:
                    file.write_text(f"<rss>changed in round {turn}</rss>")
                time.sleep(2.5)
                show(f"round {turn + 1}", len(changed), len(changed))
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    main()
