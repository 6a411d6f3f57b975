#!/usr/bin/env bash
# How fast mails go out, beside Postfix's smtp-source, against the same smtp-sink on this machine (Debian: postfix).
# Sealed and approved beforehand; what is timed is `pressrun send`: claim, compose, SMTP, settle, with a durable ledger.
#
#   benches/press.sh [--readers N] [--rounds N] [--signed]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin
for tool in smtp-sink smtp-source; do
  command -v "$tool" >/dev/null || { echo "benches/press.sh: $tool is missing (Debian: postfix)" >&2; exit 1; }
done
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked
  PRESSRUN=${CARGO_TARGET_DIR:-$PWD/target}/release/pressrun
fi
exec python3 benches/press/measure.py --pressrun "$(realpath "$PRESSRUN")" "$@"
