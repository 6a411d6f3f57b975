#!/usr/bin/env bash
# How fast is `pressrun serve`, beside nginx? docs/BENCHMARKS.md says what is compared, and why it's fair.
#
#   benches/serve.sh [--rounds N] [--seconds N] [--connections N] [--idle N] [--slow N]
#
#   --rounds N       how often each server answers each kind of request; default: 5. The table shows medians
#   --seconds N      how long a round takes; default: 3
#   --connections N  how many connections ask at a time; default: 64
#   --idle N         how many idle connections stand beside the load; default: 10000
#   --slow N         and how many readers that take a few bytes at a time; default: 50
#
# PRESSRUN=path/to/pressrun measures that program; otherwise this checkout's is built. Needs two cores, Python 3, nginx,
# and wrk (Debian: nginx-light wrk), and `ulimit -Hn` of twice --idle. All files lie in a temporary folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0; }
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked --manifest-path "$here/../Cargo.toml" --target-dir "$target"
  PRESSRUN=$target/release/pressrun
fi
ulimit -Sn "$(ulimit -Hn)"
exec python3 "$here/serve/measure.py" --pressrun "$(realpath "$PRESSRUN")" "$@"
