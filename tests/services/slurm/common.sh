# What start.sh and stop.sh share.
state=${SLURM_TEST_STATE:-/var/lib/skyloom-slurm}   # daemons' files, process ids and logs
configs=(slurm.conf gres.conf slurmdbd.conf)
account=skyloom

# Wait until a command succeeds, or fail after so many tenths of a second.
wait_for() {
    local tries=$1; shift
    for _ in $(seq "$tries"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    echo "gave up waiting for: $*" >&2
    return 1
}

# Whether a file of /etc/slurm is the link that start.sh made.
ours() { [ "$(readlink "/etc/slurm/$1")" = "$state/$1" ]; }

# End a daemon by the process id that it wrote, and wait until it is gone.
end() {
    local file=$state/run/$1.pid pid
    [ -f "$file" ] || return 0
    pid=$(cat "$file")
    rm "$file"
    # An id from before a restart of the machine may be another's now.
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] || return 0
    kill "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
    kill -9 "$pid"
}
