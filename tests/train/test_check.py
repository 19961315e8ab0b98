import pytest

from icpo_cli.config.load import load_config
from icpo_cli.errors import UserError
from icpo_cli.train.check import check

GOOD = ["data.train.task=basic_arithmetic"]


def test_the_defaults_with_a_task_pass() -> None:
    check(load_config(GOOD))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rollout.group_size=1"], "rollout.group_size: must be 2 or more"),
        (["learner.mini_batch_prompts=100"], "100 does not divide rollout.prompts_per_iteration 768; nearest: 96"),
        (["method.tau=0"], "method.tau: 0.0 must be positive"),
        (["method.tau=.nan"], "method.tau: nan must be positive and finite"),
        (["learner.learning_rate=.inf"], "learner.learning_rate: inf must be positive and finite"),
        (["rollout.std_ema_decay=1"], "rollout.std_ema_decay: 1.0 must be 0 or more and below 1"),
        (["reward.noise.fraction=2"], "reward.noise.fraction: 2.0 must be from 0 to 1"),
        (["reward.judge.requests_at_once=1001"], "reward.judge.requests_at_once: 1001 must be from 1 to 1000"),
        (["eval.pass_at=[1,0]"], "eval.pass_at: 0 must be 1 or more"),
        (["eval.engine.max_num_seqs=1"], "eval.engine.max_num_seqs: 1 must be 2 or more"),
        (["method.delta=-1"], "method.delta: -1.0 must be positive"),
        (["rollout.temperature=0"], "rollout.temperature: must be above 0"),
        (["rollout.temperature=-1"], "rollout.temperature: -1.0 must be 0 or more"),
        (["learner.adam_betas=[0.9,1]"], "learner.adam_betas: 1.0 must be 0 or more and below 1"),
        (["learner.adam_betas=[0.9]"], "learner.adam_betas: [0.9] must be two numbers"),
        (["reward.process.weight_decay=-1"], "reward.process.weight_decay: -1.0 must be 0 or more"),
        (["reward.process.max_grad_norm=0"], "reward.process.max_grad_norm: 0.0 must be positive"),
        (["learner.zero_stage=4"], "learner.zero_stage: 4 must be from 0 to 3"),
        (["method.omega.warmup_fraction=1.5"], "method.omega.warmup_fraction: 1.5 must be from 0 to 1"),
        (["method.omega.min=2"], "method.omega.min: 2.0 is above method.omega.max"),
        (["train.iterations=0"], "train.iterations: 0 must be 1 or more"),
        (["eval.k=4", "eval.temperature=0"], "eval.k: 4 needs eval.temperature above 0"),
        (["data.template=few_shot"], "data.examples"),
        (["data.train.source=file"], "data.train.path: a source of kind file needs a path"),
        (["reward.answer_weight=0", "reward.format_weight=0"], "reward.answer_weight: must be above 0"),
        (["track.uri=http://me:secret@host"], "track.uri: contains a password"),
        (["name="], "name"),
        (["data.train.answer_column=null"], "reward.source=verifier needs gold answers; majority and self_certainty"),
        (["method=rlpr", "data.train.answer_column=null"], "reward.source=reference needs gold answers"),
        (["method=ttrl", "data.heldout.answer_column=null", "data.heldout.task=maze"], "held-out accuracy needs gold"),
        (["method=ttrl", "rollout.votes=3"], "rollout.votes: 3 is below rollout.group_size 32"),
        (["rollout.votes=8"], "rollout.votes: has no effect without reward.source=majority"),
        (["method=general_reasoner"], "reward.judge.url: a judge (mode alone) needs its server"),
        (["method=grpo+rloo"], "method: grpo+rloo: rloo has no bonus to add"),
        (["method=icpo+cde"], "method: icpo+cde: has two bonuses"),
        (["method=intuitor", "reward.noise.false_positive=0.1"], "reward.source=self_certainty has no verdicts"),
        (
            ["method=intuitor", "learner.old_logprobs=sampler"],
            "reward.source=self_certainty needs the learner's forward pass",
        ),
        (["method=verifree", "learner.importance_cap=2"], "trains on texts that were not sampled"),
        (["learner.importance_cap=0.5"], "learner.importance_cap: 0.5 must be 1 or more"),
        (["rollout.max_rounds=2"], "rollout.max_rounds: 2 has no effect with rollout.keep=all"),
        (
            ["rollout.keep=accuracy", "rollout.least_accuracy=0.9"],
            "rollout.least_accuracy: 0.9 is above rollout.most_accuracy 0.8",
        ),
        (["reward.overlong.buffer_tokens=4000"], "must be from 0 to rollout.max_response_tokens 3072"),
    ],
)
def test_each_mistake_is_named(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        check(load_config([*GOOD, *arguments]))
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("method", ["ttrl", "intuitor", "intuitor+icpo"])
def test_a_source_that_reads_no_gold_needs_none(method: str) -> None:
    check(load_config([*GOOD, f"method={method}", "data.train.answer_column=null"]))


def test_ranks_must_share_a_mini_batch_evenly() -> None:
    with pytest.raises(UserError, match="192 prompts cannot be shared evenly by 7 ranks"):
        check(load_config(GOOD), ranks=7)
