#!/bin/sh
# Slurm prolog of gpuledger: leaves a file on the node that says which job was given which GPUs, and since when.
#
# slurm.conf:  Prolog=/etc/slurm/prolog.d/*  and  PrologFlags=Alloc,Contain   (see docs/guides/slurm.md)
# It never fails a job: whatever goes wrong is logged, and the status is 0. It starts three short processes.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 027
trap 'exit 0' EXIT

folder=${GPULEDGER_HOLDERS:-/run/gpuledger/holders}
now=$(date +%s%N 2>/dev/null)

complain() {
  echo "gpuledger-prolog: $1" >&2
  logger -t gpuledger-prolog -p daemon.warning -- "$1" 2>/dev/null &
}

# One line `name=value`. A control character (a job's name may hold a line break) becomes a question mark, and a value
# ends after 4096 bytes. What Slurm did not say has no line.
say() {
  value=$2
  [ -n "$value" ] || return 0
  case $value in
    *[[:cntrl:]]*) value=$(printf '%s' "$value" | tr '[:cntrl:]' '?') ;;
  esac
  printf '%s=%.4096s\n' "$1" "$value"
}

tell() {
  echo 'gpuledger-holder 1'
  say job "$SLURM_JOB_ID"
  say start_ns "$now"
  say sluid "$SLURM_JOB_SLUID"
  say array_job "$SLURM_ARRAY_JOB_ID"
  say array_task "$SLURM_ARRAY_TASK_ID"
  say restarts "$SLURM_JOB_RESTART_COUNT"
  say uid "$SLURM_JOB_UID"
  say user "$SLURM_JOB_USER"
  say account "$SLURM_JOB_ACCOUNT"
  say partition "$SLURM_JOB_PARTITION"
  say name "$SLURM_JOB_NAME"
  say cluster "$SLURM_CLUSTER_NAME"
  say node "$SLURMD_NODENAME"
  say gpus "$SLURM_JOB_GPUS"
  say visible_devices "$CUDA_VISIBLE_DEVICES"
  say shards "$SLURM_SHARDS_ON_NODE"
  say mps_percent "$CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
  echo 'end'
}

case $SLURM_JOB_ID in
  '' | *[!0-9]*) complain "no job id in SLURM_JOB_ID" && exit 0 ;;
esac
case $now in
  *[!0-9]* | '') now=$(date +%s)000000000 ;; # a date without nanoseconds
esac
[ -d "$folder" ] || mkdir -p -m 0750 "$folder" 2>/dev/null || { complain "cannot make $folder"; exit 0; }

unfinished=$folder/.$SLURM_JOB_ID.$$
if tell >"$unfinished" && mv -f "$unfinished" "$folder/$SLURM_JOB_ID.job"; then
  exit 0
fi
rm -f "$unfinished"
complain "cannot write $folder/$SLURM_JOB_ID.job"
