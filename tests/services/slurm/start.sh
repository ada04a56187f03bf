#!/bin/bash
# Start the test cluster (see README.md).
set -euo pipefail
. "$(dirname "$0")/common.sh"
export DEBIAN_FRONTEND=noninteractive
unset SLURM_CONF

[ "$(id -u)" = 0 ] || { echo "start.sh installs Debian packages and must run as root" >&2; exit 1; }
for file in "${configs[@]}"; do
    if [ -e "/etc/slurm/$file" ] && ! ours "$file"; then
        echo "/etc/slurm/$file is there: this machine has a Slurm of its own, which the test leaves alone" >&2; exit 1
    fi
done
"$(dirname "$0")/stop.sh"
rm -rf "$state"
mkdir -p "$state"/{state,spool,run,log,database}

missing() { ! dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'; }
install() {
    local package absent=() policy=/usr/sbin/policy-rc.d
    for package in "$@"; do if missing "$package"; then absent+=("$package"); fi; done
    [ ${#absent[@]} = 0 ] && return 0
    # Debian starts a service when it is installed; here only the test's own may run.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"
        trap "rm -f $policy" EXIT
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${absent[@]}" >"$state/log/apt.log" 2>&1 || { tail "$state/log/apt.log" >&2; return 1; }
}
install munge slurmctld slurmd slurm-client slurmdbd mariadb-server

host=$(hostname -s)
address=$(getent ahostsv4 "$host" | awk 'NR == 1 {print $1}')
[[ "$address" == 127.* ]] || { echo "$host has the address ${address:-(none)}; write 127.0.1.1 $host into /etc/hosts, so that nothing listens beyond loopback" >&2; exit 1; }
memory=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024 - 1024))
# Copies of /dev/null stand for GPUs: Slurm counts them and hands them out like real ones.
for number in 0 1; do mknod "$state/gpu$number" c 1 3; done
echo "Name=gpu File=$state/gpu[0-1]" > "$state/gres.conf"

cat > "$state/slurm.conf" <<CONFIG
ClusterName=skyloom
SlurmctldHost=$host($address)
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=$state/state
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/run/slurmctld.pid
SlurmdPidFile=$state/run/slurmd.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.log
# No cgroups and no systemd: a container has neither.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=$address
AccountingStoragePort=16819
AccountingStorageEnforce=associations,limits
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
NodeName=$host NodeAddr=$address CPUs=$(nproc) RealMemory=$memory Gres=gpu:2
# Named and limited as on Leonardo.
PartitionName=boost_usr_prod Nodes=$host Default=YES MaxTime=24:00:00
PartitionName=dcgp_usr_prod Nodes=$host MaxTime=24:00:00
PartitionName=lrd_all_serial Nodes=$host MaxTime=04:00:00
CONFIG
cat > "$state/slurmdbd.conf" <<CONFIG
AuthType=auth/munge
DbdHost=$host
DbdAddr=$address
DbdPort=16819
CommunicationParameters=NoInAddrAny
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=16820
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_accounting
LogFile=$state/log/slurmdbd.log
PidFile=$state/run/slurmdbd.pid
CONFIG
chmod 600 "$state/slurmdbd.conf"
# A job's own `srun` sees no SLURM_CONF, so the files must be found where Slurm looks by itself.
mkdir -p /etc/slurm
for file in "${configs[@]}"; do ln -sfn "$state/$file" "/etc/slurm/$file"; done

if ! munge -n >/dev/null 2>&1; then
    mkdir -p /run/munge
    chown munge:munge /run/munge
    runuser -u munge -- /usr/sbin/munged
    wait_for 100 munge -n
    cp /run/munge/munged.pid "$state/run/munged.pid"
fi

chown mysql:mysql "$state/database"
mariadb-install-db --user=mysql --datadir="$state/database" --skip-test-db --auth-root-authentication-method=socket \
    >"$state/log/mariadb-install.log" 2>&1
socket=$state/database/socket
/usr/sbin/mariadbd --no-defaults --user=mysql --datadir="$state/database" --socket="$socket" --bind-address=127.0.0.1 \
    --port=16820 --innodb-lock-wait-timeout=900 >"$state/log/mariadb.log" 2>&1 </dev/null &
echo $! > "$state/run/mariadbd.pid"
wait_for 300 mariadb-admin --socket="$socket" ping
for from in 127.0.0.1 localhost; do
    echo "create user slurm@$from identified by 'slurm'; grant all on slurm_accounting.* to slurm@$from;"
done | mariadb --socket="$socket"

slurmdbd
wait_for 300 sacctmgr -n show cluster
{
    sacctmgr -i add cluster skyloom
    sacctmgr -i add account $account Cluster=skyloom Description=$account Organization=$account
    sacctmgr -i add user root Account=$account DefaultAccount=$account
} >"$state/log/sacctmgr.log"
slurmctld
slurmd -N "$host"
wait_for 300 sh -c "sinfo -h -o %T | grep -qx idle"
echo "$account"
