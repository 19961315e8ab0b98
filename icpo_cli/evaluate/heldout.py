"""Held-out accuracy under the policy's present weights: the in-loop check of training."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from icpo_cli import statistics
from icpo_cli.config.schema import Config
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.score import value_of
from icpo_cli.grading.verifier import Grading, Verifier, answers_of
from icpo_cli.records import Evaluation, Prompt, count_verdicts
from icpo_cli.rng import stable_hash
from icpo_cli.rollout.sampler import Sampler

BENCH = "heldout"


def heldout_k(config: Config) -> int:
    """Responses a held-out question."""
    return 1 if config.eval.k is None else config.eval.k


def evaluate_heldout(
    prompts: Sequence[Prompt], sampler: Sampler, verifier: Verifier, config: Config, ranks: Ranks
) -> Evaluation:
    """Avg@k over all ranks' shares of the prompts. Seeds depend on the question alone, so that rounds compare."""
    start = perf_counter()
    mine = ranks.shard(prompts)
    seeds = [stable_hash(config.seed, BENCH, prompt.id) for prompt in mine]
    groups = sampler.sample(mine, seeds, heldout_k(config), config.eval.temperature) if mine else []
    answers = [answer for group in groups for answer in answers_of(group)]
    verdicts = iter(verifier.verify(answers, Grading(config.reward.extract, config.reward.rule)))
    graded = [[(next(verdicts), len(response.tokens)) for response in group.responses] for group in groups]
    everyone = [question for part in ranks.all_gather(graded) for question in part]
    correct = np.array([[value_of(verdict) for verdict, _ in question] for question in everyone])  # [Q, k]
    return Evaluation(
        bench=BENCH,
        n=len(everyone),
        k=heldout_k(config),
        avg_at_k=statistics.avg_at_k(correct),
        stderr=statistics.stderr(correct),
        verdicts=count_verdicts(verdict for question in everyone for verdict, _ in question),
        response_tokens_mean=float(np.mean([tokens for question in everyone for _, tokens in question])),
        seconds=perf_counter() - start,
    )
