#!/usr/bin/env bash
# How fast mail that comes back is read and filed, and that none is lost or counted twice: a Maildir made of the case files of
# tests/it/returned, each returned to the signed return path of a delivery, with forged ones and ones read before among them.
#
#   benches/returns.sh [--mails N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked
  PRESSRUN=${CARGO_TARGET_DIR:-$PWD/target}/release/pressrun
fi
exec python3 benches/returns/measure.py --pressrun "$(realpath "$PRESSRUN")" "$@"
