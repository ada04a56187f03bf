# What start.sh and stop.sh share.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${TAP_STATE:-/run/skyloom-tap}   # process ids and logs
dachs_port=${TAP_DACHS_PORT:-8480}
mirror_port=${TAP_MIRROR_PORT:-8490}
mirror=http://127.0.0.1:$mirror_port
dachs=http://127.0.0.1:$dachs_port
inputs=/var/gavo/inputs/skyloom_alma

# Wait until a command succeeds, or fail after so many tenths of a second.
wait_for() {
    local tries=$1; shift
    for _ in $(seq "$tries"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    echo "gave up waiting for: $*" >&2
    return 1
}

# End a process and its children; the ids are written by start.sh.
end() {
    local pid child
    [ -f "$1" ] || return 0
    pid=$(cat "$1")
    for child in $(pgrep -P "$pid" || true); do
        echo "$child" > "$1.child"; end "$1.child"
    done
    kill "$pid" 2>/dev/null || true
    rm -f "$1"
}
