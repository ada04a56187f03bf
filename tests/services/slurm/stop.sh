#!/bin/bash
# End the test cluster's jobs, then what start.sh started, and take its configuration away.
set -euo pipefail
. "$(dirname "$0")/common.sh"
unset SLURM_CONF
if [ -f "$state/run/slurmctld.pid" ] && ours slurm.conf; then
    scancel --quiet --user root 2>/dev/null || true
    wait_for 400 sh -c '[ -z "$(squeue -h)" ]' || true
fi
for daemon in slurmd slurmctld slurmdbd mariadbd munged; do end "$daemon"; done
for file in "${configs[@]}"; do
    if ours "$file"; then rm "/etc/slurm/$file"; fi
done
