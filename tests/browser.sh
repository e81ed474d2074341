#!/usr/bin/env bash
# Opens the pages that `hecc inspect --html` writes in Chromium and checks that their scripts ran to the end and drew
# something.
#
#   tests/browser.sh [HECC]
#
# HECC is the command, by default the one of a debug build. Chromium comes from Debian's packages when it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
hecc=${1:-${CARGO_TARGET_DIR:-target}/debug/hecc}
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT

if ! command -v chromium >/dev/null; then
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

# The page after its script has run, as text.
open_page() {
    timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$pages/profile" \
        --virtual-time-budget=20000 --dump-dom "file://$1" 2>/dev/null
}

# check MODEL CIPHERTEXTS ZEROS: the page draws so many ciphertexts and counts so many diagonals of zeros.
check() {
    local page=$pages/page.html dom
    "$hecc" inspect "$1" --stage layout --html >"$page"
    dom=$(open_page "$page")
    if grep -q 'data-error' <<<"$dom"; then
        echo "$1: the script failed: $(grep -o 'data-error="[^"]*"' <<<"$dom")" >&2
        return 1
    fi
    for expected in "data-drawn=\"$2\"" "data-zero-diagonals=\"$3\""; do
        grep -qF "$expected" <<<"$dom" || { echo "$1: the page lacks $expected" >&2; return 1; }
    done
    if grep -qE '(src|href)="' <<<"$dom"; then
        echo "$1: the page needs something beside it" >&2
        return 1
    fi
    echo "$1: $2 ciphertexts drawn"
}

check examples/models/tiny.hec 4 0
check examples/lenet/pruned/lenet.hec 8 176
