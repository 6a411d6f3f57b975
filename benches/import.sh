#!/usr/bin/env bash
# How long a list of readers takes to import, and how much memory: the first time, and again when nothing is new.
#
#   benches/import.sh [--rows N]        # default: 1,000,000
#
# PRESSRUN=path/to/pressrun measures that program; otherwise this checkout's is built. Needs Python 3.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked --manifest-path "$here/../Cargo.toml" --target-dir "$target"
  PRESSRUN=$target/release/pressrun
fi
exec python3 "$here/import/measure.py" --pressrun "$(realpath "$PRESSRUN")" "$@"
