#!/usr/bin/env bash
# Several workers on one PostgreSQL (Debian: postgresql), started privately:
#   1. against a mail server that answers each command after 20 ms: 4 workers beside one;
#   2. claims and settlements a second with 1, 2 and 4 workers, beside what the bare engine does.
#
#   benches/workers.sh [--readers N] [--deliveries N] [--rounds N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked
  PRESSRUN=${CARGO_TARGET_DIR:-$PWD/target}/release/pressrun
fi
if [[ -z ${PRESSRUN_LEDGER_BENCH:-} ]]; then
  PRESSRUN_LEDGER_BENCH=$(cargo bench --bench shared_ledger --no-run --locked --message-format=json 2>/dev/null |
    python3 -c 'import json,sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')
fi
exec python3 benches/workers/measure.py --pressrun "$(realpath "$PRESSRUN")" --bench "$PRESSRUN_LEDGER_BENCH" "$@"
