"""What Slurm's job_submit asks: the fields of a job as Slurm has them, and the GPUs in them. Pure.

Slurm writes TRES as `gres:gpu:h100:2` (22.05 and before) or `gres/gpu:h100:2`; a count that is left out is one. What is
asked for a node, a task or a socket is multiplied by as many of them as the job says. `--gpus=8 --gpus-per-node=4` says
one thing twice: of what is said in several ways the largest counts. An array asks for all tasks that may run at once.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collector.enforcement.asks import SLURM, Ask, summed
from collector.enforcement.fields import MOST
from collector.enforcement.pods import Gpus
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.errors import AdmissionError

FIELDS: Final = {
    "cluster", "user", "account", "partition", "name", "array", "nodes", "tasks", "tasks_per_node", "tasks_per_gpu",
    "sockets_per_node", "job", "tres_per_job", "tres_per_node", "tres_per_task", "tres_per_socket", "labels",
}  # fmt: skip
PARTITIONS: Final = 100  # that a job may name: each is decided by itself
_NAME: Final = 200  # characters of a job's name that are kept and said: Slurm takes any text of any length
_GRES: Final = re.compile(
    r"(?:gres[:/])?(gpu|shard|mps)(?::([A-Za-z][^:=]*))?(?:[:=]\s*\+?([0-9]+)([kKmMgGtTpP]?)(?:\(.*\))?)?"
)
_SUFFIX: Final = "KMGTP"  # powers of 1024, as of every count of Slurm's
_IDLE: Final = re.compile(r"[\s+]")  # what strtol, which Slurm reads numbers with, passes over
_RANGE: Final = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")


def job_ask(fields: Mapping[str, str], cluster: str) -> Ask:
    """Return what a job asks for. Raises AdmissionError on a field that is unknown or cannot be read."""
    strange = fields.keys() - FIELDS
    if strange:
        raise AdmissionError(f'a job has no "{min(strange)[:80]}"', hint=f"send: {', '.join(sorted(FIELDS))}")
    notes: list[str] = []
    nodes, tasks = _number(fields, "nodes"), _number(fields, "tasks")
    if fields.get("tasks_per_node"):
        nodes = max(nodes, -(-tasks // _number(fields, "tasks_per_node")))
    times = {
        "tres_per_job": 1,
        "tres_per_node": nodes,
        "tres_per_task": tasks,
        "tres_per_socket": nodes * _number(fields, "sockets_per_node"),
    }
    said = [summed([(tuple(_gpus(fields[name], notes)), many)]) for name, many in times.items() if fields.get(name)]
    if fields.get("tasks_per_gpu"):
        said.append((Gpus("", "", -(-tasks // _number(fields, "tasks_per_gpu")) * GPU_PARTS),))
    gpus = summed([(_largest(said), array_tasks(fields.get("array", "")))])
    partition, *others = dict.fromkeys(fields.get("partition", "").split(","))
    if len(others) > PARTITIONS:
        raise AdmissionError(f"a job names {len(others)} partitions, and {PARTITIONS} are the most")
    name = _in_a_line(fields.get("name") or fields.get("job", ""))
    found = {
        "kind": "slurm_job",
        "cluster": fields.get("cluster") or cluster,
        "slurm_account": fields.get("account", ""),
        "slurm_partition": partition,
        "user": fields.get("user", ""),
        "team_claim": fields.get("account", ""),
    }
    attributes = {name: value for name, value in found.items() if value}
    return Ask(
        source=SLURM,
        uid=uuid.uuid4().hex,  # a new job has no number yet, and one that is changed is asked about again
        cluster=found["cluster"],
        operation="SUBMIT",
        kind="job",
        namespace="",
        name=name,
        user=found["user"],
        attributes=attributes,
        gpus=gpus,
        notes=tuple(dict.fromkeys(notes)),
        series=name,
        otherwise=tuple({**attributes, "slurm_partition": other} for other in others if other),
    )


def array_tasks(text: str) -> int:
    """Return how many tasks of an array such as `0-15%4` may run at once; one where there is none."""
    if not text:
        return 1
    indices, _, at_once = _IDLE.sub("", text).strip("[]").partition("%")
    total = 0
    for part in indices.split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise AdmissionError(f"{text[:80]!r} is no array of tasks")
        first, last, step = int(found[1][:10]), int((found[2] or found[1])[:10]), int((found[3] or "1")[:10])
        total += max(0, last - first) // max(1, step) + 1
    limit = int(at_once[:10]) if at_once.isascii() and at_once.isdigit() else total
    return max(1, min(total, limit, MOST))


def _largest(said: Sequence[tuple[Gpus, ...]]) -> tuple[Gpus, ...]:
    """Return one for all: of each model the most; GPUs of any model are first among those whose model is named."""
    most: dict[str, int] = {}
    for each in said:
        for gpus in each:
            most[gpus.model] = max(most.get(gpus.model, 0), gpus.parts)
    anyone = most.pop("", 0) - sum(most.values())
    return tuple(Gpus(model, "", parts) for model, parts in sorted({**most, "": anyone}.items()) if parts > 0)


def _in_a_line(text: str) -> str:
    """Return a text as it can stand in a line of an answer."""
    return "".join(each if each.isprintable() else "?" for each in text[:_NAME])


def _gpus(tres: str, notes: list[str]) -> Iterator[Gpus]:
    for part in tres.split(","):
        found = _GRES.fullmatch(part.strip())
        if found is None:
            if "gpu" in part:
                raise AdmissionError(f"{part[:80]!r} is no count of GPUs")
            continue
        if found[1] != "gpu":
            notes.append(f"{found[1]} are parts of a GPU whose size Slurm does not tell: they are not counted")
            continue
        number = int((found[3] or "1")[:10]) * (1024 ** (1 + _SUFFIX.index(found[4].upper())) if found[4] else 1)
        if number > MOST:
            raise AdmissionError(f"{part[:80]!r} is more GPUs than there are")
        yield Gpus(found[2] or "", "", number * GPU_PARTS)


def _number(fields: Mapping[str, str], name: str) -> int:
    """Return a count; Slurm has very large numbers where nothing was said."""
    given = fields.get(name, "")
    if given and not (given.isascii() and given.isdigit()):
        raise AdmissionError(f"{name} {given[:40]!r} is not a whole number")
    number = int(given[:20]) if given else 1
    return number if 0 < number <= MOST else 1
