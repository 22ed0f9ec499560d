#!/bin/sh
# Installs the fuzzers that fuzz/ uses, once for each content of their lock file. They have an environment of their own:
# what they need would not fit beside what the product needs.
set -eu
cd "$(dirname "$0")/.."
home=.cache/fuzz
mkdir -p "$home"
exec 9>"$home/lock"
flock 9
stamp="$home/made-from-$(sha256sum fuzz/requirements.lock | cut -c1-16)"
[ -f "$stamp" ] && exit 0
echo "gamekeeper: installing the fuzzers"
python3 -m venv --clear "$home/python"
"$home/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r fuzz/requirements.lock
rm -f "$home"/made-from-*
touch "$stamp"
