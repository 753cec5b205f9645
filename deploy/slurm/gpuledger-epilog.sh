#!/bin/sh
# Slurm epilog of gpuledger: marks the file that the prolog left as ended, with the instant in its name, so that a job
# that lived less than one sampling interval is still seen. The agent deletes the file once it has taken it.
#
# slurm.conf:  Epilog=/etc/slurm/epilog.d/*   (see docs/guides/slurm.md)
# It never fails a job, and never drains a node: whatever goes wrong is logged, and the status is 0.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 027
trap 'exit 0' EXIT

folder=${GPULEDGER_HOLDERS:-/run/gpuledger/holders}
most=${GPULEDGER_MOST_ENDED:-2000} # ended files that wait for an agent; more are counted in `lost`, not kept
now=$(date +%s%N 2>/dev/null)

complain() {
  echo "gpuledger-epilog: $1" >&2
  logger -t gpuledger-epilog -p daemon.warning -- "$1" 2>/dev/null &
}

case $SLURM_JOB_ID in
  '' | *[!0-9]*) complain "no job id in SLURM_JOB_ID" && exit 0 ;;
esac
case $now in
  *[!0-9]* | '') now=$(date +%s)000000000 ;; # a date without nanoseconds
esac

running=$folder/$SLURM_JOB_ID.job
[ -f "$running" ] || { complain "$running is missing: did the prolog run?"; exit 0; }

set -- "$folder"/*.ended
if [ "$#" -ge "$most" ]; then
  echo "$SLURM_JOB_ID" >>"$folder/lost"
  rm -f "$running"
  complain "$# ended jobs wait for an agent: job $SLURM_JOB_ID is only counted. Does gpuledger's agent run?"
  exit 0
fi
mv -f "$running" "$folder/$SLURM_JOB_ID.$now.ended" || complain "cannot rename $running"
