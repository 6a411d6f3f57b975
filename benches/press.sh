#!/usr/bin/env bash
# How fast mails go out, against Postfix's smtp-sink on this machine (Debian: postfix). What is timed is `pressrun send` of an
# edition that was approved before: claim, compose, SMTP, settle, with a durable ledger.
#
#   benches/press.sh [--signed | --in-line] [--nodemailer]    beside Postfix's smtp-source
#   benches/press.sh --slow 20                                a server whose every reply takes 20 ms
#   benches/press.sh --million                                one edition to a million
#   benches/press.sh --ledger                                 the ledger alone, beside the bare engine
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ ${1:-} == --ledger ]]; then
  exec cargo bench --locked --bench ledger -- "${@:2}"
fi
PATH=$PATH:/usr/sbin
for tool in smtp-sink smtp-source; do
  command -v "$tool" >/dev/null || { echo "benches/press.sh: $tool is missing (Debian: postfix)" >&2; exit 1; }
done
target=${CARGO_TARGET_DIR:-$PWD/target}
if [[ -z ${PRESSRUN:-} ]]; then
  cargo build --release --locked
  PRESSRUN=$target/release/pressrun
fi
exec python3 -B benches/press/measure.py --pressrun "$(realpath "$PRESSRUN")" --target "$(realpath -m "$target")" "$@"
