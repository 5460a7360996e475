# Sourced by the other scripts: a virtual environment with the dependencies of setup.cfg.
# Usage: extras=test,dev; . scripts/setup.sh   (sets $python; no extras: what a user needs)
# A variable, because a POSIX shell hands no arguments to what it sources.
# Runs again only when setup.cfg or the extras change.

root=$(cd "$(dirname "$0")/.." && pwd)
extras=${extras:-}
venv=${CREDITLEDGER_VENV:-$root/.venv}
python=$venv/bin/python
stamp=$venv/creditledger-setup

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for candidate in python3.12 python3.11 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
            2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

apt_install() {
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
    elif sudo -n true 2>/dev/null; then
        sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
    else
        return 1
    fi
}

make_venv() {
    "$1" -m venv "$venv" >/dev/null 2>&1 && return 0
    rm -rf "$venv"
    say "setup: $1 has no venv module; installing python3-venv"
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    apt_install "python$version-venv" || apt_install python3-venv || {
        say "setup: run this line, then try again:  sudo apt-get install -y python3-venv"
        return 1
    }
    "$1" -m venv "$venv"
}

wanted=$(cat "$root/setup.cfg" "$root/pyproject.toml" | cksum | tr -d ' ')
if [ ! -x "$python" ] || ! grep -qxF "$wanted" "$stamp" 2>/dev/null ||
    { [ -n "$extras" ] && ! grep -qxF "extras $extras" "$stamp"; }; then
    found=$(find_python) || {
        say "setup: no Python 3.11 or 3.12 here (plyvel has wheels for these two; a later one needs"
        say "setup: a compiler and LevelDB's headers). Run:  sudo apt-get install -y python3 python3-venv"
        exit 1
    }
    if [ ! -x "$python" ]; then
        say "setup: making a virtual environment with $found"
        make_venv "$found" || exit 1
    fi
    say "setup: installing the dependencies of setup.cfg${extras:+ ($extras)}"
    (cd "$root" && "$python" -m pip install -qq --disable-pip-version-check \
        --editable ".${extras:+[$extras]}") || exit 1
    kept=$(grep -xF "$wanted" "$stamp" 2>/dev/null && grep '^extras ' "$stamp") || true
    { printf '%s\n' "$wanted"; printf '%s\n' "$kept" | grep '^extras ' || true; [ -z "$extras" ] || printf 'extras %s\n' "$extras"; } |
        sort -u >"$stamp.new"
    mv "$stamp.new" "$stamp"
fi
export PATH="$venv/bin:$PATH"
