"""Times `pressrun send` and smtp-source in turns against one smtp-sink; prints medians and their ratio."""
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from room import CONNECTIONS, CORES, Newsroom, Ran, Sink, smtp_source

NODEMAILER = "nodemailer@^10"
HERE = Path(__file__).parent


def measure(args):
    keys = "ahead" if args.signed else "in line" if args.in_line else None
    sender = nodemailer_installed(args.target) if args.nodemailer else None
    rows = []
    for n in range(args.rounds):
        with tempfile.TemporaryDirectory() as work, Sink() as sink:
            room = Newsroom(work, args.pressrun, args.readers, keys)
            signed = [signatures()] if args.in_line else []
            before = sink.cpu()
            ours = room.send(sink.port)
            taken = sink.cpu() - before
            if args.in_line:
                signed.append(signatures())
            theirs = smtp_source(sink.port, args.readers, room.mail)
            row = {"ours": args.readers / ours.wall, "source": args.readers / theirs.wall, "cpu": ours.cpu / args.readers * 1e6,
                   "sink": taken / args.readers * 1e6}
            if args.in_line:
                row["cost"] = CORES * 1e6 / statistics.mean(signed)
                row["most"] = CORES * 1e6 / (row["sink"] + row["cost"])
            if sender:
                row["node"] = nodemailer(sender, sink.port, room, keys, args.nodemailer)
            rows.append(row)
        told = f"; nodemailer {row['node']:,.0f}/s, ratio {row['ours'] / row['node']:.1f}" if sender else ""
        print(f"round {n + 1}: pressrun {row['ours']:,.0f}/s, smtp-source {row['source']:,.0f}/s, ratio {row['ours'] / row['source']:.2f}{told}; "
              f"mail {room.mail:,} octets; µs of a core a mail: pressrun {row['cpu']:.0f}, sink {row['sink']:.0f}; "
              f"import and seal {room.sealing.wall:.1f} s, approve {room.approving.wall:.1f} s", flush=True)
    ratio = lambda of: statistics.median(r["ours"] / r[of] for r in rows)
    median = lambda of: statistics.median(r[of] for r in rows)
    print(f"median of {args.rounds}: pressrun {median('ours'):,.0f}/s, smtp-source {median('source'):,.0f}/s, ratio {ratio('source'):.2f}"
          + (f", {ratio('node'):.1f} times nodemailer" if sender else ""))
    if args.in_line:
        print(f"{CORES} cores, {median('sink'):.0f} µs of a core a mail for the sink and {median('cost'):.0f} for one RSA-2048 signature (openssl speed, "
              f"before and after each round): {median('most'):,.0f}/s could be signed; pressrun reached {ratio('most'):.0%} of that")


def signatures():
    """RSA-2048 signatures a second of OpenSSL on all cores, by the clock: what else takes the cores counts as it does for pressrun."""
    command = ["openssl", "speed", "-elapsed", "-multi", str(CORES), "-seconds", "2", "-mr", "rsa2048"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("+F2:"))
    # Fields: +F2, a number, bits, signatures a second, verifications a second.
    return float(line.split(":")[3])


def nodemailer_installed(target):
    """Where nodemailer is; npm brings it, into the build folder."""
    folder = target / "bench-press"
    if not (folder / "node_modules/nodemailer").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, NODEMAILER], check=True)
    return folder


def nodemailer(folder, port, room, keys, mails):
    """Mails a second of nodemailer's pool, each personal and of the same size."""
    shutil.copy(HERE / "nodemailer.mjs", folder)
    pem = [next((room.folder / "keys").glob("*.pem"))] if keys else []
    return float(Ran("node", folder / "nodemailer.mjs", port, CONNECTIONS, mails, room.mail, *pem).said)
