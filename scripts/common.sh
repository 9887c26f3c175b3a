# Sourced by every verb: paths, messages, and the few steps that verbs share.
set -euo pipefail
export LC_ALL=C.UTF-8
# Debian's Python, because the test scripts use modules that Debian packages for it.
PYTHON=/usr/bin/python3

say() { echo "./dev: $*" >&2; }
die() {
    say "$*"
    exit 1
}
usage_error() {
    say "$*; see ./dev help"
    exit 2
}

# Runs a command with its output kept in a log that is shown only when the command fails.
quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        say "failed: $*"
        return 1
    fi
}

# Installs what the named purposes need and this machine lacks.
need() { bash "$BW_ROOT/scripts/deps.sh" --quiet "$@" || exit 1; }

# build_preset PRESET [NINJA TARGET...]: quiet unless it fails.
build_preset() {
    local preset=$1
    shift
    local dir=$BW_ROOT/build/$preset
    # CMake runs again by itself when a list file changes; only the first time is ours, and the time after a
    # first run that failed half-way.
    if [ ! -f "$dir/build.ninja" ]; then
        quietly "$BW_ROOT/build/log/$preset-configure.log" cmake --preset "$preset" || return 1
    fi
    quietly "$BW_ROOT/build/log/$preset-build.log" ninja --quiet -C "$dir" "$@" || return 1
    # What an older tree built, such as a test that is gone, must not be run.
    quietly "$BW_ROOT/build/log/$preset-clean.log" ninja -C "$dir" -t cleandead
}

preset_exists() { grep -q "{ \"name\": \"$1\", \"configurePreset\"" "$BW_ROOT/CMakePresets.json"; }
