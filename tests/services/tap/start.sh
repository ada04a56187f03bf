#!/bin/bash
# Start the test archive (see README.md). Usage: start.sh [MEMBERS]
set -euo pipefail
. "$(dirname "$0")/common.sh"
export DEBIAN_FRONTEND=noninteractive
python=${PYTHON:-python3}   # needs numpy and astropy

[ "$(id -u)" = 0 ] || { echo "start.sh installs Debian packages and must run as root" >&2; exit 1; }
"$here/stop.sh"
mkdir -p "$state"

missing() { ! dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'; }
install() {
    local package absent=()
    for package in "$@"; do if missing "$package"; then absent+=("$package"); fi; done
    [ ${#absent[@]} = 0 ] && return 0
    [ -f "$state/updated" ] || { apt-get update -qq; touch "$state/updated"; }
    apt-get install -y -qq --no-install-recommends "${absent[@]}" >"$state/apt.log" 2>&1 || { tail "$state/apt.log" >&2; return 1; }
}

# PostgreSQL must run before DaCHS is configured, for its package makes a database.
install postgresql-15 postgresql-15-pgsphere postgresql-15-q3c
if ! pg_lsclusters -h | grep -q '^15 *main .*online'; then
    pg_ctlcluster 15 main start
    touch "$state/postgres_started"
fi
wait_for 100 su postgres -c "psql -qc 'select 1'"

# PostgreSQL 15.18 and later refuse pgsphere 1.1.1's old operators `@` for MOCs, which claim the commutator and the
# negator of `<@` as theirs. Nothing here uses them, so they lose the claim.
perl -0pi -e 's/(CREATE OPERATOR \@ \((?:(?!\);).)*?RIGHTARG\s*=\s*smoc,(?:(?!\);).)*?)\s*COMMUTATOR = [^,]*,\s*NEGATOR\s*= [^,]*,/$1/gs' \
    /usr/share/postgresql/15/extension/pg_sphere--1.2.0.sql

cat > /etc/gavo.rc <<CONFIG
[general]
maintainerAddress: nobody@localhost
[web]
bindAddress: 127.0.0.1
serverPort: $dachs_port
serverURL: $dachs
sitename: skyloom-test
[ivoa]
authority: x-skyloom
CONFIG
if missing gavodachs2-server; then install gavodachs2-server || dpkg --configure -a; fi

mkdir -p "$inputs"
"$python" "$here/make_archive.py" "$inputs" "${1:-24}"
sed "s|@MIRROR@|$mirror|" "$here/links.rd" > "$inputs/links.rd"
chown -R dachsroot:gavo "$inputs"
su dachsroot -c "cd /var/gavo/inputs && dachs imp skyloom_alma/table" >"$state/import.log" 2>&1 || { tail "$state/import.log" >&2; exit 1; }

setsid su dachsroot -c "cd /var/gavo && exec dachs serve start -f" >"$state/dachs.log" 2>&1 </dev/null &
echo $! > "$state/dachs.pid"
"$python" "$here/mirror.py" "$mirror_port" "$dachs" "$inputs/products" >"$state/mirror.log" 2>&1 </dev/null &
echo $! > "$state/mirror.pid"
wait_for 600 "$python" -c "import urllib.request as u; u.urlopen('$mirror/tap/availability', timeout=5)"
echo "$mirror"
