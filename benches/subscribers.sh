#!/usr/bin/env bash
# How many readers come and go while an edition is being sent? Sign-ups and one-click unsubscribes a second against
# `pressrun serve`, on SQLite, with `pressrun send` at work on the same ledger. docs/BENCHMARKS.md says what is measured.
#
#   benches/subscribers.sh [--readers N] [--leaving N] [--seconds N] [--connections N]
#
#   --readers N      to whom the edition goes that is sent meanwhile; default: 200000
#   --leaving N      how many of them may leave meanwhile, each by the address of a mail of her own; default: 60000
#   --seconds N      how long people sign up, and then how long they leave; default: 8
#   --connections N  how many at a time; default: 32
#
# Ends with 1 where anything was lost, or the send was over before the readers were. PRESSRUN=path/to/pressrun measures that
# program; otherwise this checkout's is built. Needs Python 3, wrk and smtp-sink (Debian: wrk postfix).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0; }
PATH=$PATH:/usr/sbin
for tool in wrk smtp-sink; do
  command -v "$tool" >/dev/null || { echo "benches/subscribers.sh: $tool is missing (Debian: wrk postfix)" >&2; exit 1; }
done
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked --manifest-path "$here/../Cargo.toml" --target-dir "$target"
  PRESSRUN=$target/release/pressrun
fi
exec python3 "$here/subscribers/measure.py" --pressrun "$(realpath "$PRESSRUN")" "$@"
