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
    answer_column: str = "answer"
    id_column: str | None = None
    """null numbers the rows."""


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

    kv_cache_gib: int = 2
    """CPU: memory of the key-value cache."""
    gpu_memory_utilization: float = 0.5
    """CUDA: vLLM's share of the GPU; the learner has the rest."""
    max_num_seqs: int = 256
    """Responses generated at once on a rank."""


@dataclass(frozen=True)
class RolloutConfig:
    prompts_per_iteration: int = 768
    group_size: int = 5
    temperature: float = 1.0
    max_prompt_tokens: int = 2048
    max_response_tokens: int = 3072
    max_probe_gap: float = 0.15
    """Largest mean gap, in nats, between sampler and learner log-probs on the probe after a weight hand-over."""
    engine: EngineConfig = field(default_factory=EngineConfig)


@dataclass(frozen=True)
class RewardConfig:
    answer_weight: float = 0.9
    format_weight: float = 0.1


@dataclass(frozen=True)
class OmegaConfig:
    schedule: Literal["constant", "linear_decay", "warmup_retention", "warmup_decay"] = "warmup_decay"
    max: float = 1.0
    min: float = 0.0
    warmup_fraction: float = 0.2
    """T_w / T. The paper prints none."""


@dataclass(frozen=True)
class AdvantageConfig:
    std: Literal["population", "sample", "none"] = "population"
    eps: float = 0.0
    """Added to the std. Peers: 1e-4 to 1e-9; the paper: none."""


@dataclass(frozen=True)
class MethodConfig:
    """A method is a preset of these and of learner.*; see config/methods/."""

    name: str = "icpo"
    bonus: Literal["preference", "none"] = "preference"
    confidence: Literal["mean_prob", "mean_logprob"] = "mean_prob"
    delta: float = 0.4
    """0.5, 0.4, 0.3 for 3B, 7B, 14B."""
    tau: float = 2.0
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
    max_grad_norm: float = 1.0
    zero_stage: int = 2
    micro_batch_tokens: int = 8192
    """Most tokens, padding included, in one forward; a group that is longer goes alone."""
    logit_chunk_tokens: int = 1024
    """Response tokens whose logits exist at once."""
    gradient_checkpointing: bool = False


@dataclass(frozen=True)
class TrainConfig:
    iterations: int = 500
    eval_every: int = 10
    save_every: int = 10
    keep_checkpoints: int = 2
    """Newest checkpoints kept, beside the best."""
    output_dir: str = "runs"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    collective_timeout_seconds: int = 1800
    """Deadline of every exchange between ranks; longer than the slowest rank's rollout."""


@dataclass(frozen=True)
class EvalConfig:
    k: int = 1
    """Responses a held-out question."""
    temperature: float = 0.0
    """0 is greedy, which needs k 1."""
    data_dir: str | None = None
    """A folder with benchmarks' data, or one file; null looks in the user's cache and on the hub."""


@dataclass(frozen=True)
class TrackConfig:
    uri: str | None = None
    """Any MLflow store; null is mlflow.db in the working directory, artifacts in mlartifacts/ beside it."""
    experiment: str = "icpo"


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
