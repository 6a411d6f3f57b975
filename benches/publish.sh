#!/usr/bin/env bash
# What does `pressrun publish` cost when one article of many has changed? docs/BENCHMARKS.md says what is measured.
#
#   benches/publish.sh [--objects N] [--changed N] [--rounds N]
#
#   --objects N   how many objects lie at the target; default: 100000
#   --changed N   how many of them are changed before each round; default: 3, the documents of one article
#   --rounds N    default: 3. Each round's figures are shown
#
# It fails if another number of requests is sent than objects were changed. The store is nginx on this machine, which
# takes every object and writes down every request. PRESSRUN=path/to/pressrun measures that program; otherwise this
# checkout's is built. Needs Python 3 and nginx (Debian: nginx-light). All files lie in a temporary folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0; }
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked --manifest-path "$here/../Cargo.toml" --target-dir "$target"
  PRESSRUN=$target/release/pressrun
fi
exec python3 "$here/publish/measure.py" --pressrun "$(realpath "$PRESSRUN")" "$@"
