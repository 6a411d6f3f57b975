"""Runs Pressrun, Hugo and the floor in turn over one corpus and prints tables; started by benches/feeds.sh.

Each program runs as a child whose wall time is taken here and whose CPU time the kernel tells. Outputs are checked:
a program that writes too little is not fast.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
import xml.parsers.expat

CORES = os.cpu_count() or 1
TICK = os.sysconf("SC_CLK_TCK")
GNU_TIME = "/usr/bin/time"
# The share of the cores that other programs may have taken before a row is marked as disturbed.
QUIET = 0.05
# Bytes on disk for an article: the corpus itself, and what a program makes of it.
ARTICLE_BYTES, OUTPUT_BYTES, SUMMARY_BYTES = 8_192, 42_000, 9_000
# Name in the tables → the floor's mode.
FLOORS = {"floor": "build", "lean floor": "lean"}
FEEDS = ("rss.xml", "atom.xml", "feed.json")

warnings = []


def warn(text):
    warnings.append(text)
    print(f"!! {text}", file=sys.stderr)


# ---------------------------------------------------------------------------------------------------------------------
# Measuring one run.


def busy_seconds():
    """CPU seconds that this machine has worked since it was started, waiting not counted."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICK


def run(command, folder, memory):
    """One run: wall and CPU in seconds, peak in MiB, and what other programs used meanwhile, in CPU seconds.

    The peak is taken by GNU time, because a child of Python's never shows less than Python itself; without GNU time
    that is the least that can be seen. Short runs go without, so that only they themselves are timed.
    """
    peak_file = folder / "peak"
    wrapped = memory and os.access(GNU_TIME, os.X_OK)
    if wrapped:
        command = [GNU_TIME, "-f", "%M", "-o", str(peak_file), *command]
    with open(folder / "output", "wb") as output:
        before, start = busy_seconds(), time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        said = (folder / "output").read_text(errors="replace")[-2000:]
        sys.exit(f"measure: {' '.join(map(str, command))} ended with {child.returncode}:\n{said}")
    cpu = usage.ru_utime + usage.ru_stime
    peak = int(peak_file.read_text().split()[-1]) if wrapped else usage.ru_maxrss
    others = max(0.0, busy_seconds() - before - cpu)
    return {"wall": wall, "cpu": cpu, "peak": peak / 1024, "others": others}


class Aside:
    """Old output, moved out of the way and removed later, all at once.

    Some file systems pass over the places of files that were removed within the last minute, one by one (ext4 without a
    journal), so that a program would pay for the removal of what was there before it.
    """

    PATIENCE = 65.0

    def __init__(self, options):
        self.folder, self.least = options.work / "aside", options.least_free
        self.moved = 0
        shutil.rmtree(self.folder, ignore_errors=True)

    def put(self, path):
        if path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.moved += 1
            path.rename(self.folder / str(self.moved))

    def make_room(self, bytes_):
        """So much is free afterwards, or nothing is left to remove."""
        if self.folder.exists() and shutil.disk_usage(self.folder).free < bytes_ + self.least:
            self.clear()
            time.sleep(self.PATIENCE)

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def settle(articles, made=None):
    """Warm page cache for the articles, and for what is known of the documents made of them; nothing left to write."""
    for file in articles.rglob("*.md"):
        file.read_bytes()
    os.sync()
    for file in made.rglob("*") if made else ():
        file.stat()


def summary(runs):
    walls = [run["wall"] for run in runs]
    return {
        "wall": statistics.median(walls),
        "least": min(walls),
        "most": max(walls),
        "cpu": statistics.median(run["cpu"] for run in runs),
        "peak": max(run["peak"] for run in runs),
        "others": sum(run["others"] for run in runs) / (sum(walls) * CORES),
        "rounds": len(runs),
    }


# ---------------------------------------------------------------------------------------------------------------------
# What was written.


def outputs(folder):
    """Documents of the three formats, their bytes, and the RSS items in all of them together."""
    documents = size = items = 0
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix in (".xml", ".json"):
            documents += 1
            size += file.stat().st_size
            items += file.read_bytes().count(b"<item>") if file.suffix == ".xml" else 0
    return {"documents": documents, "bytes": size, "items": items}


def check_form(name, folder):
    for file in sorted(folder.rglob("*")):
        try:
            if file.suffix == ".xml":
                xml.parsers.expat.ParserCreate().Parse(file.read_bytes(), True)
            elif file.suffix == ".json":
                json.loads(file.read_bytes())
        except (xml.parsers.expat.ExpatError, ValueError) as error:
            warn(f"{name}: {file.name} is broken: {error}")


def check_against_floor(articles, written):
    floor = written.get("floor")
    for name, found in written.items():
        if found["items"] != 2 * articles:
            warn(f"{articles}: {name} wrote {found['items']} RSS items; each article in two feeds makes {2 * articles}")
    if floor and "pressrun" in written:
        ratio = floor["bytes"] / written["pressrun"]["bytes"]
        if not 0.9 <= ratio <= 1.1:
            warn(f"{articles}: the floor wrote {ratio:.2f} times the bytes of Pressrun; it has to be made alike")
        if floor["documents"] != written["pressrun"]["documents"]:
            warn(f"{articles}: {floor['documents']} documents by the floor, {written['pressrun']['documents']} by Pressrun")


# ---------------------------------------------------------------------------------------------------------------------
# The cases.


class Corpus:
    """N articles on disk; after edits, made whole again."""

    def __init__(self, options, size):
        self.size, self.folder = size, options.work / str(size)
        self.articles, self.hugo = self.folder / "articles", self.folder / "hugo"
        self.whole = self.folder / "whole"
        self.originals = {}
        # A new generator, or an edit that was not undone: begin again.
        stamp = f"{options.corpus.stat().st_mtime_ns}\n"
        if not (self.whole.exists() and self.whole.read_text() == stamp):
            shutil.rmtree(self.folder, ignore_errors=True)
            subprocess.run([options.corpus, str(size), self.folder], check=True)
            self.whole.write_text(stamp)
        self.stamp = stamp

    def edit(self, number, marker):
        """Adds a paragraph to one article, in place, as an editor saves. Returns its section."""
        (file,) = self.articles.glob(f"*/article-{number:06}.md")
        self.whole.unlink(missing_ok=True)
        self.originals.setdefault(file, file.read_bytes())
        file.write_bytes(self.originals[file] + f"\nCorrected: {marker}.\n".encode())
        return file.parent.name

    def restore(self):
        for file, text in self.originals.items():
            file.write_bytes(text)
        self.originals.clear()
        self.whole.write_text(self.stamp)


def programs(options, corpus):
    """Name → (command, folder it runs in, folder it writes into, folders to empty for a cold build)."""
    found = {}
    if options.summaries:
        config = corpus.folder / "config.yaml"
        config.write_text(config.read_text().replace("content: full", "content: summary"))
        folder = corpus.folder
        return {"pressrun": ([options.pressrun, "--quiet", "build"], folder, folder / "feeds", ["feeds", "var"])}
    # The floors first: their outputs are removed at once, so one round needs the room of the others' only.
    for name, mode in FLOORS.items():
        command = [options.floor, mode, "articles", "floor"]
        found[name] = (command, corpus.folder, corpus.folder / "floor", ["floor"])
    if options.pressrun:
        folder = corpus.folder
        found["pressrun"] = ([options.pressrun, "--quiet", "build"], folder, folder / "feeds", ["feeds", "var"])
    if options.hugo and corpus.size <= options.hugo_up_to:
        command = [options.hugo, "--quiet", "--noBuildLock"]
        found["hugo"] = (command, corpus.hugo, corpus.hugo / "public", ["public", "resources"])
    return found


def cold(options, corpus, aside):
    """Everything from nothing, in interleaved rounds."""
    tools = programs(options, corpus)
    runs, written = {name: [] for name in tools}, {}
    for round_ in range(options.rounds):
        names = list(tools)
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            command, folder, out, made = tools[name]
            for path in made:
                aside.put(folder / path)
            aside.make_room(corpus.size * OUTPUT_BYTES)
            settle(corpus.articles)
            runs[name].append(run(command, folder, memory=True))
            progress(corpus, f"cold, {name}", runs[name][-1])
            if round_ == 0:
                written[name] = outputs(out)
                if not written[name]["documents"]:
                    sys.exit(f"measure: {name} wrote no documents into {out}")
                if corpus.size == min(options.sizes):
                    check_form(name, out)
            if name in FLOORS:
                aside.put(out)
    aside.clear()
    check_against_floor(corpus.size, written)
    return {name: summary(runs[name]) | written[name] for name in tools}


def one_changed(options, corpus):
    """One article edited, then each program again over what it built before."""
    tools = programs(options, corpus)
    for name in FLOORS:
        del tools[name]
    stat = ([options.floor, "stat", "articles"], corpus.folder, None, [])
    runs = {name: [] for name in ["walk + stat", *tools]}
    for round_ in range(max(5, options.rounds)):
        marker = f"changed-{round_}-of-{corpus.size}"
        corpus.edit(7919 * (round_ + 1) % corpus.size + 1, marker)
        for name, (command, folder, out, _) in {"walk + stat": stat, **tools}.items():
            if name == "hugo" and round_ >= options.rounds:
                continue
            settle(corpus.articles, out)
            # Time stamps of files come from a coarser clock, which may be some milliseconds behind.
            since = time.time_ns() - 10_000_000
            runs[name].append(run(command, folder, memory=False))
            progress(corpus, f"one changed, {name}", runs[name][-1])
            if out:
                changed = [f for f in out.rglob("*") if f.suffix in (".xml", ".json") and f.stat().st_mtime_ns >= since]
                reached = sum(marker.encode() in file.read_bytes() for file in changed)
                if reached != 2 * len(FEEDS):
                    warn(f"{corpus.size}: after one change {name} shows it in {reached} documents, not {2 * len(FEEDS)}")
                runs[name][-1]["rewritten"] = len(changed)
    rewritten = {name: {"rewritten": taken[-1]["rewritten"]} for name, taken in runs.items() if "rewritten" in taken[-1]}
    return {name: summary(taken) | rewritten.get(name, {}) for name, taken in runs.items()}


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until_idle(child, seconds, limit=900):
    """Until the child has used no CPU for so long: whatever it had to do, it has done."""
    used, since, end = cpu_of(child.pid), time.monotonic(), time.monotonic() + limit
    while time.monotonic() - since < seconds:
        time.sleep(0.05)
        if child.poll() is not None:
            sys.exit(f"measure: build --watch ended by itself with {child.returncode}")
        if (now := cpu_of(child.pid)) != used:
            used, since = now, time.monotonic()
        if time.monotonic() > end:
            sys.exit("measure: build --watch never came to rest")


def watch(options, corpus):
    """Milliseconds from the save of one of the newest articles until all six documents that show it are on disk."""
    feeds = corpus.folder / "feeds"
    with open(corpus.folder / "output", "wb") as output:
        child = subprocess.Popen(
            [options.pressrun, "build", "--watch"],
            cwd=corpus.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    taken = []
    try:
        wait_until_idle(child, 2.0)
        for round_ in range(7):
            marker = f"watched-{round_}-of-{corpus.size}".encode()
            number = corpus.size - round_
            (file,) = corpus.articles.glob(f"*/article-{number:06}.md")
            waiting = {feeds / part / name: None for part in ("", file.parent.name) for name in FEEDS}
            waiting = {path: path.stat().st_mtime_ns for path in waiting}
            before, start = busy_seconds(), time.perf_counter()
            used = cpu_of(child.pid)
            corpus.edit(number, marker.decode())
            while waiting:
                time.sleep(0.0005)
                for path, seen in list(waiting.items()):
                    if path.stat().st_mtime_ns != seen and marker in path.read_bytes():
                        del waiting[path]
                if time.perf_counter() - start > 60:
                    warn(f"{corpus.size}: build --watch did not show a save within a minute in {sorted(waiting)}")
                    return None
            wall = time.perf_counter() - start
            cpu = (cpu_of(child.pid) - used) / TICK
            taken.append({"wall": wall, "cpu": cpu, "peak": 0, "others": max(0.0, busy_seconds() - before - cpu)})
            wait_until_idle(child, 0.5)
        return summary(taken)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                warn("build --watch did not end on SIGINT")


# ---------------------------------------------------------------------------------------------------------------------
# Telling.


def progress(corpus, what, taken):
    print(f"   {corpus.size:>9,}  {what:<24} {taken['wall']:8.3f} s", file=sys.stderr)


def mark(case):
    return " ~" if case["others"] > QUIET else ""


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tell(results):
    print("\nEverything from nothing\n")
    rows = []
    for size, result in results.items():
        for name, case in result["cold"].items():
            mine = result["cold"].get("pressrun")
            rows.append([
                f"{size:,}",
                name + mark(case),
                f"{case['wall']:.3f}",
                f"{case['least']:.3f}–{case['most']:.3f}",
                f"{case['cpu']:.2f}",
                f"{case['peak']:.0f}",
                f"{case['wall'] / size * 1e6:.1f}",
                f"{case['documents']:,}",
                f"{case['bytes'] / 2**20:,.1f}",
                *(f"{case['wall'] / result['cold'][floor]['wall']:.2f}" if floor in result["cold"] else "–" for floor in FLOORS),
                f"{case['wall'] / mine['wall']:.2f}" if mine else "–",
            ])
    head = ["articles", "program", "wall s", "least–most", "CPU s", "peak MiB", "µs an article", "documents", "MiB written"]
    print(table([*head, *(f"wall / {floor}" for floor in FLOORS), "wall / pressrun"], rows))

    if any("changed" in result for result in results.values()):
        print("\nOne article changed\n")
    rows = []
    for size, result in results.items():
        if "changed" not in result:
            continue
        stat, mine = result["changed"]["walk + stat"]["wall"], result["changed"].get("pressrun")
        for name, case in result["changed"].items():
            rows.append([
                f"{size:,}",
                name + mark(case),
                f"{case['wall']:.4f}",
                f"{case['least']:.4f}–{case['most']:.4f}",
                f"{case['cpu']:.3f}",
                f"{case['rewritten']:,}" if "rewritten" in case else "–",
                f"{case['wall'] / stat:.2f}",
                f"{case['wall'] / mine['wall']:.2f}" if mine else "–",
            ])
    head = ["articles", "program", "wall s", "least–most", "CPU s", "documents rewritten", "wall / walk + stat"]
    if rows:
        print(table([*head, "wall / pressrun"], rows))

    watched = {size: result["watch"] for size, result in results.items() if result.get("watch")}
    if watched:
        print("\n`build --watch`: from save to the last of six documents\n")
        rows = [
            [f"{size:,}" + mark(case), *(f"{case[key] * 1000:.0f}" for key in ("wall", "least", "most"))]
            for size, case in watched.items()
        ]
        print(table(["articles", "median ms", "least ms", "most ms"], rows))
    print(f"\n~ other programs used more than {QUIET:.0%} of the cores meanwhile; not to be published")
    for text in warnings:
        print(f"!! {text}")


def tell_growth(results):
    """Time and memory an article, of everything from nothing."""
    names = [name for name in ("pressrun", "floor", "hugo") if any(name in result["cold"] for result in results.values())]
    rows, before = [], {}
    for size, result in results.items():
        row = [f"{size:,}"]
        for name in names:
            case = result["cold"].get(name)
            if not case:
                row += ["–", "–", "–"]
                continue
            # From one size to the next, so that what a program needs for itself does not count.
            last = before.get(name)
            more = (case["peak"] - last[1]) * 2**20 / (size - last[0]) if last else None
            row += [f"{case['wall'] / size * 1e6:.0f}{mark(case)}", f"{case['peak']:,.0f}", f"{more:,.0f}" if last else "–"]
            before[name] = (size, case["peak"])
        rows.append(row)
    print("\nGrowth\n")
    heads = [part for name in names for part in (f"{name}: µs an article", "peak MiB", "bytes for each article more")]
    print(table(["articles", *heads], rows))


def machine(options):
    def first(command):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().split("\n")[0]

    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    return {
        "cpu": cpu,
        "cores": CORES,
        "memory GiB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": platform.release(),
        "load before": os.getloadavg()[0],
        "pressrun": first([options.pressrun, "--version"]) if options.pressrun else None,
        "hugo": first([options.hugo, "version"]) if options.hugo else None,
    }


def main():
    parser = argparse.ArgumentParser(prog="benches/feeds.sh")
    for name in ("corpus", "floor", "pressrun", "work"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hugo", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", default="")
    parser.add_argument("--hugo-up-to", type=int, default=100_000)
    parser.add_argument("--tidy", action="store_true")
    parser.add_argument("--summaries", action="store_true")
    parser.add_argument("--least-free", type=float, default=2.0)
    parser.add_argument("sizes", nargs="*", type=int)
    options = parser.parse_args()
    options.sizes = options.sizes or [1_000, 10_000]
    without = set(filter(None, options.without.split(",")))
    if without - {"pressrun", "hugo"}:
        parser.error(f"--without knows pressrun and hugo, not '{options.without}'")
    if options.rounds < 1 or min(options.sizes) < 100:
        parser.error("at least one round, and at least 100 articles")
    options.pressrun = None if "pressrun" in without else options.pressrun
    options.hugo = None if "hugo" in without else options.hugo
    if options.pressrun and not os.access(options.pressrun, os.X_OK):
        parser.error(f"there is no program at {options.pressrun}")
    options.least_free = int(options.least_free * 2**30)
    options.work.mkdir(parents=True, exist_ok=True)

    about = machine(options)
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    results = {}
    aside = Aside(options)
    for size in options.sizes:
        kept = bool(options.pressrun) + bool(options.hugo and size <= options.hugo_up_to)
        at_once = max(1, kept + (options.rounds > 1))
        output_bytes = SUMMARY_BYTES if options.summaries else OUTPUT_BYTES
        needed = size * (ARTICLE_BYTES + at_once * output_bytes) + options.least_free
        if shutil.disk_usage(options.work).free < needed:
            sys.exit(f"measure: {size:,} articles need {needed / 2**30:.1f} GiB free in {options.work}")
        corpus = Corpus(options, size)
        result = results[size] = {"cold": cold(options, corpus, aside)}
        try:
            # An edit of the text is not to be seen in summaries.
            if not options.summaries:
                result["changed"] = one_changed(options, corpus)
            if options.pressrun and not options.summaries:
                result["watch"] = watch(options, corpus)
        finally:
            corpus.restore()
        if options.tidy:
            shutil.rmtree(corpus.folder)
        tell({size: result})
        (options.work / "results.json").write_text(
            json.dumps({"machine": about, "sizes": results, "warnings": warnings}, indent=1)
        )
    if len(results) > 1:
        tell(results)
    tell_growth(results)
    print(f"\nkept: {options.work / 'results.json'}")
    # What is not as it should be must not pass for a measurement.
    sys.exit(1 if warnings else 0)


main()
