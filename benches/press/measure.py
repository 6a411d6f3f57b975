"""How fast mails go out. The figures and what they are compared with: docs/BENCHMARKS.md."""
import argparse
from pathlib import Path

import many
import rate
import slow


def main():
    p = argparse.ArgumentParser(prog="benches/press.sh", description=__doc__)
    p.add_argument("--pressrun", required=True, type=Path, help=argparse.SUPPRESS)
    p.add_argument("--target", required=True, type=Path, help=argparse.SUPPRESS)
    p.add_argument("--readers", type=int, help="of each edition (20,000; with --slow 4,000)")
    p.add_argument("--rounds", type=int, default=3)
    keys = p.add_mutually_exclusive_group()
    keys.add_argument("--signed", action="store_true", help="with an RSA-2048 key, signed ahead at the approval")
    keys.add_argument("--in-line", action="store_true", help="with an RSA-2048 key that comes after the approval")
    p.add_argument("--nodemailer", type=int, nargs="?", const=3000, metavar="MAILS", help="nodemailer's pool too (npm fetches it)")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--slow", type=float, metavar="MS", help="a server whose every reply takes so long")
    which.add_argument("--million", action="store_true", help="one edition to a million: each tenth's rate, and memory")
    args = p.parse_args()
    args.readers = args.readers or (1_000_000 if args.million else 4_000 if args.slow else 20_000)
    (many if args.million else slow if args.slow else rate).measure(args)


if __name__ == "__main__":
    main()
