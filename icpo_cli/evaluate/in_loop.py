"""Benchmarks during training: some questions of each, under the policy's present weights, scored as icpo eval does."""

from dataclasses import dataclass
from time import perf_counter

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import load_benchmark, resolve_names
from icpo_cli.data.templates import Tokenizer
from icpo_cli.distributed import Ranks
from icpo_cli.errors import UserError
from icpo_cli.evaluate.grade import grade
from icpo_cli.evaluate.plan import Task, data_folder, prompts_of, tasks_of
from icpo_cli.evaluate.score import Part, Result, score
from icpo_cli.evaluate.store import stored
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import Prompt
from icpo_cli.rng import stable_hash
from icpo_cli.rollout.sampler import Sampler


@dataclass(frozen=True)
class Subset:
    """What is asked of one benchmark."""

    task: Task
    prompts: tuple[Prompt, ...]


def load_subsets(config: Config, tokenizer: Tokenizer) -> tuple[Subset, ...]:
    """Of eval.benchmarks. Raises UserError where data is missing or a prompt is longer than the sampler takes."""
    names = resolve_names(config.eval.benchmarks)
    tasks = tasks_of(config, [load_benchmark(name, data_folder(config)) for name in names])
    subsets = []
    for task in tasks:
        prompts = prompts_of(config, task.loaded, tokenizer)[: len(task.questions)]
        over = [prompt for prompt in prompts if len(prompt.tokens) > config.rollout.max_prompt_tokens]
        if over:
            raise UserError(
                f"eval.benchmarks: {len(over)} of {len(prompts)} prompts of {task.name} are over "
                f"rollout.max_prompt_tokens {config.rollout.max_prompt_tokens}: question {over[0].id} has "
                f"{len(over[0].tokens)}"
            )
        subsets.append(Subset(task, tuple(prompts)))
    return tuple(subsets)


def evaluate_subset(subset: Subset, sampler: Sampler, verifier: Verifier, config: Config, ranks: Ranks) -> Result:
    """Over all ranks' shares. Seeds depend on the question alone, so that rounds compare."""
    start = perf_counter()
    task, mine = subset.task, ranks.shard(subset.prompts)
    seeds = [stable_hash(config.seed, task.name, prompt.id) for prompt in mine]
    groups = sampler.sample(mine, seeds, task.k, config.eval.temperature) if mine else []
    own = [
        stored(group.prompt.id, index, seed, response)
        for group, seed in zip(groups, seeds, strict=True)
        for index, response in enumerate(group.responses)
    ]
    verdicts = grade(verifier, task, own)
    gathered = [
        pair for part in ranks.all_gather([(response, verdicts[response.key]) for response in own]) for pair in part
    ]
    return score(
        Part(
            task,
            {response.key: response for response, _ in gathered},
            {response.key: verdict for response, verdict in gathered},
            seconds=perf_counter() - start,
        ),
        config.eval.pass_at,
    )
