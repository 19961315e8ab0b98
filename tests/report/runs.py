"""Past runs made by hand, as a store gives them."""

from itertools import count

from icpo_cli.config.load import flatten, load_config, to_tree
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.read import PastRun

_clock = count(1)


def run(
    id: str,
    parent: str | None = None,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    metrics: dict[str, float] | None = None,
    experiment: str = "icpo",
    name: str | None = None,
) -> PastRun:
    """Each is newer than those made before it."""
    return PastRun(
        id,
        name or f"run {id}",
        experiment,
        Status.DONE,
        next(_clock),
        None,
        parent,
        params or {},
        tags or {},
        metrics or {},
    )


def trained(id: str, *settings: str, parent: str | None = None, **tags: str) -> PastRun:
    """A training run of that configuration."""
    config = load_config(["data.train.task=basic_arithmetic", "model.path=Qwen/Qwen2.5-7B", *settings])
    params = {key: str(value) for key, value in flatten(to_tree(config)).items()}
    return run(id, parent, params, {"data.fingerprint": "f", **tags})


def evaluated(
    id: str,
    scores: dict[str, float],
    model: str = "Qwen/Qwen2.5-7B",
    parent: str | None = None,
    source: str = "model",
    partial: bool = False,
    grader: str = "4",
    data: str = "d",
    k: int | None = None,
    n: int = 400,
    stderr: float = 2.0,
    experiment: str = "icpo",
    tags: dict[str, str] | None = None,
    **settings: str,
) -> PastRun:
    """An evaluation with those accuracies; the interval is 4 to either side."""
    ks = {"gpqa": 4, "aime24": 16}
    metrics: dict[str, float] = {}
    for bench, score in scores.items():
        numbers = {"avg_at_k": score, "stderr": stderr, "ci95_low": score - 4, "ci95_high": score + 4, "n": n}
        numbers |= {"k": k or ks.get(bench, 2), "partial": partial}
        metrics |= {f"eval/{bench}/{name}": float(value) for name, value in numbers.items()}
    facts = {"eval.source": source, "model.name": model, "verifier.version": grader}
    facts |= {f"data.fingerprint.{bench}": data for bench in scores}
    params = {f"eval.{key}": value for key, value in settings.items()}
    return run(id, parent, params, facts | (tags or {}), metrics, experiment)
