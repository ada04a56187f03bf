#!/bin/bash
# Stop what start.sh started.
set -euo pipefail
. "$(dirname "$0")/common.sh"
end "$state/mirror.pid"
end "$state/dachs.pid"
if [ -f "$state/postgres_started" ]; then
    pg_ctlcluster 15 main stop || true
    rm -f "$state/postgres_started"
fi
