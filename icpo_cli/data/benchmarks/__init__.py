"""The seven benchmarks of the paper: one small file each, one loader that checks what it loads."""

from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.load import LoadedBenchmark, load_benchmark
from icpo_cli.data.benchmarks.registry import BENCHMARKS, GROUPS, resolve_names

__all__ = ["BENCHMARKS", "GROUPS", "Benchmark", "LoadedBenchmark", "load_benchmark", "resolve_names"]
