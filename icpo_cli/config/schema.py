"""Every setting, its default and what it means. Defaults are the paper's (Table 6); names follow its table."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class ModelConfig:
    path: str = "smollm2"
    """A local Hugging Face folder, a hub id, or a name that `icpo model get` knows."""
    revision: str | None = None
    """Hub revision (branch, tag or commit); null is the hub's default."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of weights and activations in learner and sampler; master weights and optimiser are float32 in both."""


@dataclass(frozen=True)
class SourceConfig:
    """Where questions come from."""

    source: Literal["reasoning_gym", "file", "hub"] = "reasoning_gym"
    task: str | None = None
    """reasoning_gym: the task's name."""
    params: dict[str, Any] = field(default_factory=dict)
    """reasoning_gym: the task's own parameters."""
    size: int = 1000
    """reasoning_gym: how many questions are drawn."""
    seed: int = 0
    """reasoning_gym: seed of the draw, apart from the run's seed so that arms share their questions."""
    path: str | None = None
    """file: a .jsonl or .parquet file. hub: a data set id or a local data set folder."""
    split: str = "train"
    revision: str | None = None
    question_column: str = "question"
    """A column, or a path into nested columns: prompt.1.content."""
    answer_column: str | None = "answer"
    """null: questions without gold answers, for a reward.source that needs none (majority, self_certainty)."""
    id_column: str | None = None
    """null numbers the rows."""
    choices_column: str | None = None
    """The options of a multiple-choice question, a list of texts; the answer is then a letter."""
    kind: Literal["auto", "math", "number", "letter", "text", "bool", "list"] = "auto"
    """What the answers are; auto reads it off each answer's own form."""


@dataclass(frozen=True)
class ExampleConfig:
    """One worked example of the few-shot form."""

    question: str = ""
    reasoning: str = ""
    answer: str = ""


@dataclass(frozen=True)
class DataConfig:
    train: SourceConfig = field(default_factory=SourceConfig)
    heldout: SourceConfig | None = None
    """Questions for the in-loop accuracy; null switches it off. Training questions equal to one are left out."""
    template: Literal["r1", "r1_answer_only", "few_shot", "plain"] = "r1"
    """r1: the paper's Table 5. r1_answer_only: without think, for Gemma and Llama. few_shot: base models."""
    examples: list[ExampleConfig] = field(default_factory=list)
    """The worked examples of few_shot."""


@dataclass(frozen=True)
class EngineConfig:
    """vLLM's own settings."""

    kv_cache_gib: float = 2
    """CPU: the most memory of the key-value cache; less where less holds all that can run at once."""
    gpu_memory_utilization: float = 0.5
    """CUDA: vLLM's share of the GPU; the learner has the rest."""
    max_num_seqs: int = 256
    """Responses generated at once on a rank."""


@dataclass(frozen=True)
class RolloutConfig:
    prompts_per_iteration: int = 768
    group_size: int = 5
    votes: int | None = None
    """Responses sampled of a prompt, of which the first group_size are trained on; null is group_size."""
    keep: Literal["all", "unequal", "spread", "accuracy"] = "all"
    """Which groups are trained on; unequal leaves out those of equal final rewards, which teach nothing (DAPO), spread
    those whose final rewards have a std below spread_share of what is usual in the run (RLPR), accuracy those whose
    share of right answers is not within least_accuracy and most_accuracy (PRIME)."""
    least_accuracy: float = 0.2
    most_accuracy: float = 0.8
    spread_share: float = 0.5
    spread_decay: float = 0.99
    """Of the running mean over iterations that is the usual std."""
    max_rounds: int = 1
    """Rounds of sampling an iteration, at most: each after the first replaces what was left out by other prompts."""
    temperature: float = 1.0
    max_prompt_tokens: int = 2048
    max_response_tokens: int = 3072
    max_probe_gap: float = 0.15
    """Largest mean gap, in nats, between sampler and learner log-probs on the probe after a weight hand-over."""
    engine: EngineConfig = field(default_factory=EngineConfig)


@dataclass(frozen=True)
class SandboxConfig:
    """The processes in which answers are compared that could hang or crash a comparison."""

    workers: int | None = None
    """null: one a core, at most 8, of this rank's."""
    deadline_seconds: float = 10.0
    """Of one comparison; past it the verdict is timeout and the worker is replaced."""
    memory_mib: int = 1024
    """Of one worker."""


@dataclass(frozen=True)
class JudgeConfig:
    """A language model that decides what the rule does not accept, or decides alone."""

    mode: Literal["off", "after_rule", "alone"] = "off"
    url: str | None = None
    """Of an OpenAI-compatible server: http://localhost:8000/v1."""
    model: str | None = None
    """As the server names it; null takes the first one it lists."""
    form: Literal["equivalence", "general_verifier"] = "equivalence"
    """How it is asked: an instruct model, or TIGER-Lab/general-verifier in the words it was trained on."""
    key_variable: str = "ICPO_JUDGE_KEY"
    """The environment variable that holds the server's key, if it wants one."""
    requests_at_once: int = 64
    timeout_seconds: float = 60.0
    """Of one request, to the last byte of its answer."""
    retries: int = 5
    """Of one case, with waits that grow, or as long as the server asks for (up to two minutes)."""
    give_up_seconds: float = 600.0
    """Of one case with its retries and waits; after as long without any answer the rest of a batch is not asked."""
    max_tokens: int | None = None
    """Of one reply; null is the form's own: 256 for equivalence, 1024 for general_verifier, which reasons first."""
    cache: str | None = None
    """The file that keeps its verdicts; null is one in the user's cache folder."""


@dataclass(frozen=True)
class NoiseConfig:
    """Wrong rewards on purpose (App. B.1), drawn by hash: equal seeds see equal noise."""

    fraction: float = 0.0
    """Of responses whose R_verif is moved; 0.4 in the paper's noisy arms."""
    magnitude: float = 0.3
    """By which it is moved, up or down."""
    false_positive: float = 0.0
    """Share of answers that are not right and are rewarded as if they were."""
    false_negative: float = 0.0
    """Share of right answers that are rewarded as if they were not."""


@dataclass(frozen=True)
class OverlongConfig:
    """DAPO's penalty on length: none up to buffer_tokens before rollout.max_response_tokens, all of it at the limit."""

    buffer_tokens: int = 0
    """Over which it rises in a line; 0 is no penalty."""
    penalty: float = 1.0


@dataclass(frozen=True)
class ProcessConfig:
    """The second model of reward.source=process, which starts as the policy does."""

    beta: float = 0.05
    learning_rate: float = 1e-6


@dataclass(frozen=True)
class RewardConfig:
    source: Literal["verifier", "majority", "self_certainty", "reference", "likelihood", "process"] = "verifier"
    """What the answer's part of the reward is.

    verifier: 1 for a right answer. majority: 1 for the answer of most of the prompt's responses (TTRL).
    self_certainty: how far the policy's next-token distributions are from uniform, nats (INTUITOR). reference: how
    much more probable the response's reasoning makes the gold answer's tokens (RLPR). likelihood: how likely it makes
    the gold answer, which is taught along with it (VeriFree). process: as verifier, and a second model, taught the
    outcomes, rewards each token (PRIME)."""
    answer_weight: float = 0.9
    format_weight: float = 0.1
    extract: Literal["answer_tag", "boxed", "letter", "auto", "none"] = "answer_tag"
    """Where a response's answer stands; answer_tag is strict, auto takes the last final answer in any form."""
    rule: Literal["strict", "rlpr", "theoremqa"] = "strict"
    """strict is icpo's own; the others grade as RLPR's and TheoremQA's code does, to compare with their numbers."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    overlong: OverlongConfig = field(default_factory=OverlongConfig)
    process: ProcessConfig = field(default_factory=ProcessConfig)
    control: Literal["none", "random", "shuffled_golds"] = "none"
    """A reward that teaches nothing true, to compare with: the answer's part a fair coin, or each training question
    graded by another one's gold answer. Held-out questions and benchmarks keep theirs."""


@dataclass(frozen=True)
class OmegaConfig:
    schedule: Literal["constant", "linear_decay", "warmup_retention", "warmup_decay"] = "warmup_decay"
    max: float = 1.0
    min: float = 0.0
    warmup_fraction: float = 0.2
    """T_w / T. The paper prints none."""


@dataclass(frozen=True)
class AdvantageConfig:
    baseline: Literal["group", "leave_one_out", "batch"] = "group"
    """What is taken off a reward: the mean of its group, of the group's others (RLOO), or of the iteration's batch."""
    std: Literal["population", "sample", "none"] = "population"
    eps: float = 0.0
    """Added to the std. Peers: 1e-4 to 1e-9; the paper: none."""


@dataclass(frozen=True)
class MethodConfig:
    """A method is a preset of these and of learner.*; see config/methods/."""

    name: str = "icpo"
    bonus: Literal["preference", "perplexity", "none"] = "preference"
    """What is added to the reward: from the preference score (Eq. 11), from the mean negative log-prob (CDE)."""
    confidence: Literal["mean_prob", "mean_logprob"] = "mean_prob"
    delta: float = 0.4
    """Of the preference score: 0.5, 0.4, 0.3 for 3B, 7B, 14B."""
    alpha: float = 1.0
    """Of the perplexity bonus: what the mean negative log-prob is multiplied by."""
    tau: float = 2.0
    """The bonus is capped at |R| / tau."""
    omega: OmegaConfig = field(default_factory=OmegaConfig)
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    loss_mean: Literal["response", "token", "constant"] = "response"
    """How tokens weigh: 1/length a response (Eq. 4), equally (DAPO), or by max_response_tokens (Dr.GRPO)."""


@dataclass(frozen=True)
class LearnerConfig:
    mini_batch_prompts: int = 192
    """Prompts of one update, over all ranks; divides prompts_per_iteration."""
    learning_rate: float = 1e-6
    weight_decay: float = 0.01
    kl_coef: float = 0.001
    clip_ratio: float = 0.2
    clip_ratio_high: float | None = None
    """The upper bound's own clip ratio; null is clip_ratio."""
    old_logprobs: Literal["learner", "sampler"] = "learner"
    """Whose log-probs the ratio is taken to. sampler: those that vLLM gave while it sampled, which saves a pass."""
    importance_cap: float | None = None
    """Truncated importance sampling: the most that the learner's probability of a token over the sampler's may weigh.
    null: no weight is taken of it, and with old_logprobs=sampler none is cut off."""
    max_grad_norm: float = 1.0
    zero_stage: int | None = None
    """null: 2 on GPUs; 1 on CPU, where sharing out gradients too saves no memory and takes longer."""
    micro_batch_tokens: int = 8192
    """Most tokens in one forward; a group that is longer goes alone."""
    logit_chunk_tokens: int = 256
    """Response tokens whose logits exist at once; in a backward as many logits, of all tokens."""
    gradient_checkpointing: bool = False


@dataclass(frozen=True)
class TrainConfig:
    iterations: int = 500
    eval_every: int = 10
    save_every: int = 10
    keep_checkpoints: int = 2
    """Newest checkpoints kept, beside the best."""
    output_dir: str = "runs"
    shared_start: str | None = None
    """A folder in which equal runs share their evaluation before the first iteration; null: each makes its own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    collective_timeout_seconds: int = 1800
    """Deadline of every exchange between ranks; longer than the slowest rank's rollout."""


@dataclass(frozen=True)
class EvalEngineConfig:
    """vLLM's own settings where it has the machine to itself."""

    kv_cache_gib: float = 4
    """CPU: the most memory of the key-value cache; less where less holds all that can run at once."""
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int = 256
    """Responses generated at once by an engine."""
    tensor_parallel: int = 1
    """GPUs that one engine's weights are spread over."""
    data_parallel: int = 1
    """Engines side by side, each a process of its own with all the weights and a share of the responses."""


@dataclass(frozen=True)
class EvalConfig:
    k: int | None = None
    """Responses a question; null is each benchmark's own, and 1 for held-out questions and for greedy ones."""
    temperature: float = 1.0
    """0 is greedy."""
    max_response_tokens: int = 3072
    """Of a benchmark's response; held-out questions keep rollout.max_response_tokens."""
    limit: int | None = None
    """Questions taken of each benchmark, the first ones; null is all."""
    benchmarks: list[str] = field(default_factory=list)
    """Names or groups; `icpo eval --bench` sets it."""
    data_dir: str | None = None
    """A folder with benchmarks' data, or one file; null looks in the user's cache and on the hub."""
    output_dir: str = "evals"
    """Where responses are kept as they finish, and each evaluation's record."""
    template: Literal["r1", "r1_answer_only", "few_shot", "plain", "own"] | None = None
    """How questions are put; null is data.template, own the benchmark's usual form."""
    extract: Literal["answer_tag", "boxed", "letter", "auto", "none"] | None = None
    """Where a response's answer stands; null is the benchmark's own."""
    rule: Literal["strict", "rlpr", "theoremqa"] | None = None
    """By which answers are compared; null is the benchmark's own."""
    pass_at: list[int] = field(default_factory=list)
    """The k of pass@k to report; empty is the powers of two up to the responses a question."""
    checkpoint: Literal["last", "best"] = "last"
    """Of a training run that is evaluated."""
    engine: EvalEngineConfig = field(default_factory=EvalEngineConfig)


@dataclass(frozen=True)
class TrackConfig:
    uri: str | None = None
    """Any MLflow store; null is mlflow.db in the working directory, artifacts in mlartifacts/ beside it."""
    experiment: str = "icpo"
    parent: str | None = None
    """The MLflow run that this one stands under, as those of a study do under the study's."""


@dataclass(frozen=True)
class Config:
    name: str = "run"
    seed: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
