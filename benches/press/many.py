"""Sends an edition to a million; prints the rate of each tenth and the peak of memory."""
import json
import tempfile

from room import Newsroom, Sink

# What a million may take, in MiB (150 MB).
MEMORY = 143


def measure(args):
    with tempfile.TemporaryDirectory() as work, Sink() as sink:
        room = Newsroom(work, args.pressrun, args.readers, "ahead" if args.signed else None)
        print(f"import and seal {room.sealing.wall:.1f} s (peak {room.sealing.peak:.0f} MiB), "
              f"approve {room.approving.wall:.1f} s (peak {room.approving.peak:.0f} MiB)", flush=True)
        step = args.readers // 10
        marks = [(0, 0.0)]

        def line(text, seconds):
            try:
                event = json.loads(text)
            except ValueError:
                return
            if event.get("event") != "progress":
                return
            done = event["progress"]["tally"]["accepted"]
            if done >= marks[-1][0] // step * step + step:
                print(f"{marks[-1][0]:>9,} to {done:>9,}: {(done - marks[-1][0]) / (seconds - marks[-1][1]):,.0f}/s", flush=True)
                marks.append((done, seconds))

        sent = room.send(sink.port, "--json", line=line)
        counts = [json.loads(text) for text in sent.said.splitlines() if '"delivered"' in text][-1]["deliveries"]
        if counts["accepted"] != args.readers:
            raise SystemExit(f"not all were accepted: {counts}")
        ledger = (room.folder / "var/ledger.sqlite").stat().st_size / (1 << 20)
    parts = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(marks, marks[1:])]
    print(f"{args.readers:,} in {sent.wall:.0f} s, {args.readers / sent.wall:,.0f}/s; peak of memory {sent.peak:.0f} MiB; "
          f"{sent.cpu / args.readers * 1e6:.0f} µs of a core a mail; the last tenth ran at {parts[-1] / parts[0]:.2f} of the first one's rate; "
          f"the ledger has {ledger:,.0f} MiB")
    if sent.peak > MEMORY:
        raise SystemExit(f"{sent.peak:.0f} MiB are more than the {MEMORY} that are allowed")
