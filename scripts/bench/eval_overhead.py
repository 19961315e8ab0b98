"""Wall time of `icpo eval` relative to vLLM alone on the same prompts, each as a whole process.

The bare side is LLM.generate over all prompts, k responses each, without seeds, log-probs, storage, grading or MLflow.
Its engine has the same sizes and otherwise vLLM's defaults. Both sides run alternately, `--rounds` times; the ratio is
of the sums. The ratio of seconds per generated token is also printed, because response lengths differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from icpo_cli.data.benchmarks import load_benchmark
from icpo_cli.evaluate.inputs import model_under_test
from icpo_cli.evaluate.plan import benchmark_task, prompts_of, stop_of
from icpo_cli.models.locate import locate

BARE = """
import json, os, sys
job = json.load(open(sys.argv[1]))
os.environ.update({"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": str(job["kv_cache_gib"]),
                   "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "WARNING"})
from vllm import LLM, SamplingParams
llm = LLM(job["model"], dtype=job["dtype"], max_model_len=job["context"], max_num_seqs=job["max_num_seqs"],
          enable_chunked_prefill=False, max_num_batched_tokens=max(job["context"], 8192), enforce_eager=True,
          distributed_executor_backend="uni", load_format="safetensors", disable_log_stats=True)
sampling = SamplingParams(n=job["k"], temperature=1.0, max_tokens=job["tokens"], stop=job["stop"],
                          include_stop_str_in_output=True)
outputs = llm.generate([{"prompt_token_ids": tokens} for tokens in job["prompts"]], sampling, use_tqdm=False)
print("TOKENS", sum(len(c.token_ids) for output in outputs for c in output.outputs))
"""


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Run a process; its wall seconds and stdout."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} ...: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - start, done.stdout


def bare_job(arguments: argparse.Namespace, settings: list[str]) -> dict[str, Any]:
    """The prompts, longest first, and the engine settings of the bare side."""
    subject, config = model_under_test(arguments.model, settings)
    model = locate(subject.model)
    task = benchmark_task(config, load_benchmark(arguments.bench, Path(arguments.data)))
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompts = [list(prompt.tokens) for prompt in prompts_of(config, task, tokenizer)[: len(task.questions)]]
    prompts.sort(key=len, reverse=True)
    return {
        "model": str(model),
        "dtype": config.model.dtype,
        "prompts": prompts,
        "k": task.k,
        "tokens": arguments.tokens,
        "context": len(prompts[0]) + arguments.tokens,
        "stop": list(stop_of(config)),
        "kv_cache_gib": config.eval.engine.kv_cache_gib,
        "max_num_seqs": config.eval.engine.max_num_seqs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of the benchmarks' data")
    parser.add_argument("--bench", default="aime24")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--k", type=int)
    parser.add_argument("--tokens", type=int, default=256, help="maximum tokens of a response")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    data = Path(arguments.data).resolve()
    settings = [f"eval.data_dir={data}", f"eval.max_response_tokens={arguments.tokens}"]
    settings += [f"eval.k={arguments.k}"] * (arguments.k is not None)
    settings += [f"eval.limit={arguments.limit}"] * (arguments.limit is not None)
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(bare_job(arguments, settings)))
        (folder / "bare.py").write_text(BARE)
        for number in range(arguments.rounds):
            bare, out = timed([sys.executable, "bare.py", "job.json"], folder)
            bare_tokens = int(next(line.split()[1] for line in out.splitlines() if line.startswith("TOKENS")))
            command = [sys.executable, "-m", "icpo_cli", "eval", "--bench", arguments.bench, "--model", arguments.model]
            ours, out = timed([*command, *settings, f"seed={number}", "--json"], folder)
            [result] = json.loads(out)["results"]
            tokens = round(result["response_tokens_mean"] * result["n"] * result["k"])
            rounds.append({"bare": bare, "icpo": ours, "bare_tokens": bare_tokens, "icpo_tokens": tokens})
            line = f"bare {bare:.1f} s, {bare_tokens:,} tokens; icpo eval {ours:.1f} s, {tokens:,} tokens"
            line += f" ({result['n']} questions, Avg@{result['k']} {result['avg_at_k']:.1f})"
            print(f"round {number + 1}: {line}", file=sys.stderr)
    sums = {key: sum(each[key] for each in rounds) for key in rounds[0]}
    ratio = sums["icpo"] / sums["bare"]
    by_token = ratio * sums["bare_tokens"] / sums["icpo_tokens"]
    load = os.getloadavg()[2]
    if arguments.json:
        print(json.dumps({"rounds": rounds, "ratio": ratio, "ratio_by_token": by_token, "load_15_minutes": load}))
    else:
        print(f"icpo eval / bare vLLM: {ratio:.3f} in wall time, {by_token:.3f} in wall time a token (load {load:.1f})")


if __name__ == "__main__":
    main()
