"""Every config key with its default, bounds and meaning. Defaults and names follow the paper's Table 6."""

from dataclasses import dataclass, field
from typing import Any, Literal

from icpo_cli.config.setting import setting


@dataclass(frozen=True)
class ModelConfig:
    """The policy, also the start of the reference model."""

    path: str = setting("smollm2", "A local Hugging Face folder, a hub id, or a name that `icpo model get` knows.")
    revision: str | None = setting(None, "Hub revision (branch, tag or commit); null is the hub's default.")
    dtype: Literal["bfloat16", "float32"] = setting(
        "bfloat16",
        "Dtype of weights and activations in learner and sampler. Master weights and optimizer state are float32.",
    )


@dataclass(frozen=True)
class SourceConfig:
    """A source of questions."""

    source: Literal["reasoning_gym", "file", "hub"] = setting("reasoning_gym", "Where the questions come from.")
    task: str | None = setting(None, "reasoning_gym: the task's name.")
    params: dict[str, Any] = setting({}, "reasoning_gym: the task's own parameters.")
    size: int = setting(1000, "reasoning_gym: number of questions.")
    seed: int = setting(0, "reasoning_gym: seed of the questions, not the run's.")
    path: str | None = setting(None, "file: a .jsonl or .parquet file. hub: a data set id or folder.")
    split: str = setting("train", "hub: split of the data set.")
    revision: str | None = setting(None, "hub: revision of the data set; null is the hub's default.")
    question_column: str = setting("question", "A column, or a path into nested ones: prompt.1.content.")
    answer_column: str | None = setting("answer", "Gold answers; null: none, if reward.source needs none.")
    id_column: str | None = setting(None, "Column of the question ids; null numbers the rows.")
    choices_column: str | None = setting(None, "Column of multiple-choice options, a list; the answer is a letter.")
    kind: Literal["auto", "math", "number", "letter", "text", "bool", "list"] = setting(
        "auto", "Kind of the gold answers; auto infers each from its form."
    )


@dataclass(frozen=True)
class ExampleConfig:
    """A worked example of the few_shot template."""

    question: str = setting("", "The example's question.")
    reasoning: str = setting("", "Text between the think tags.")
    answer: str = setting("", "Text between the answer tags.")


@dataclass(frozen=True)
class DataConfig:
    """Training and held-out questions, and the prompt template."""

    train: SourceConfig = field(default_factory=SourceConfig)
    heldout: SourceConfig | None = setting(
        None, "Held-out questions, keys as in data.train; equal training questions are dropped."
    )
    template: Literal["r1", "r1_answer_only", "few_shot", "plain"] = setting(
        "r1", "r1: the paper's Table 5. r1_answer_only: without think, for Gemma and Llama. few_shot: base models."
    )
    examples: list[ExampleConfig] = setting([], "The worked examples of few_shot: question, reasoning, answer.")


@dataclass(frozen=True)
class EngineConfig:
    """vLLM's settings in training."""

    kv_cache_gib: float = setting(2.0, "CPU: maximum key-value cache, GiB. Less if max_num_seqs needs less.", gt=0)
    gpu_memory_utilization: float = setting(0.5, "CUDA: vLLM's fraction; the learner has the rest.", gt=0)
    max_num_seqs: int = setting(256, "Responses generated at once on a rank.", ge=1)


@dataclass(frozen=True)
class RolloutConfig:
    """Sampling of groups, and the choice of the groups to train on."""

    prompts_per_iteration: int = setting(768, "Prompts of an iteration, over all ranks.", ge=1)
    group_size: int = setting(5, "Responses in a prompt's group (G); training needs 2 or more.", ge=1)
    votes: int | None = setting(
        None, "majority: responses sampled of a prompt; the first group_size are trained on. null: group_size.", ge=1
    )
    keep: Literal["all", "unequal", "spread", "accuracy"] = setting(
        "all",
        "Groups to train on. unequal: groups with different final rewards; equal ones have no gradient (DAPO). "
        "spread: groups whose std of final rewards is at least min_std_ratio of the run's running std (RLPR). "
        "accuracy: groups whose accuracy is from least_accuracy to most_accuracy (PRIME).",
    )
    least_accuracy: float = setting(0.2, "keep=accuracy: lowest accuracy of a group.", ge=0, le=1)
    most_accuracy: float = setting(0.8, "keep=accuracy: highest accuracy of a group.", ge=0, le=1)
    min_std_ratio: float = setting(0.5, "keep=spread: the lowest std, as a fraction of the running std.", ge=0)
    std_ema_decay: float = setting(0.99, "keep=spread: decay of the running std over iterations.", ge=0, lt=1)
    max_rounds: int = setting(
        1,
        "Maximum rounds of sampling in an iteration; each after the first replaces dropped groups by other prompts.",
        ge=1,
    )
    temperature: float = setting(1.0, "Sampling temperature; training needs a temperature above 0.", ge=0)
    max_prompt_tokens: int = setting(2048, "Maximum tokens of a prompt; longer ones are dropped.", ge=1)
    max_response_tokens: int = setting(3072, "Maximum tokens of a response.", ge=1)
    max_probe_gap: float = setting(
        0.15, "Maximum mean gap of sampler and learner log-probs after a weight sync, nats.", gt=0
    )
    engine: EngineConfig = field(default_factory=EngineConfig)


@dataclass(frozen=True)
class SandboxConfig:
    """Worker processes for answer comparisons that could hang or crash."""

    workers: int | None = setting(None, "Processes; null: one for each of this rank's cores, at most 8.", ge=1)
    deadline_seconds: float = setting(10.0, "Time limit of one comparison; past it the verdict is timeout.", gt=0)
    memory_mib: int = setting(1024, "Memory limit of one worker, MiB.", ge=1)


@dataclass(frozen=True)
class JudgeConfig:
    """A language model that grades answers."""

    mode: Literal["off", "after_rule", "alone"] = setting(
        "off", "after_rule: grades what the rule does not accept. alone: grades all."
    )
    url: str | None = setting(None, "Address of an OpenAI-compatible server: http://localhost:8000/v1.")
    model: str | None = setting(None, "Model name on the server; null is the first model that it lists.")
    form: Literal["equivalence", "general_verifier"] = setting(
        "equivalence",
        "Prompt. equivalence: for an instruct model. general_verifier: TIGER-Lab/general-verifier's training prompt.",
    )
    key_variable: str = setting("ICPO_JUDGE_KEY", "Environment variable with the server's key, if any.")
    requests_at_once: int = setting(64, "Concurrent requests; 1000 is the HTTP client's limit.", ge=1, le=1000)
    timeout_seconds: float = setting(60.0, "Time limit of one request, to the last byte of the reply.", gt=0)
    retries: int = setting(5, "Retries of one case, with growing waits or the server's own (up to 2 min).", ge=0)
    give_up_seconds: float = setting(
        600.0,
        "Time limit of one case with its retries. After this time without any reply, the rest of a batch is not sent.",
        gt=0,
    )
    max_tokens: int | None = setting(
        None,
        "Maximum tokens of a reply; null is 256 for equivalence, 1024 for general_verifier, which reasons first.",
        ge=1,
    )
    cache: str | None = setting(None, "File of its verdicts; null is one in the user's cache folder.")


@dataclass(frozen=True)
class NoiseConfig:
    """Noise added to rewards (App. B.1), drawn by hash: equal seeds give equal noise."""

    fraction: float = setting(0.0, "Fraction of responses whose R_verif is moved; the paper: 0.4.", ge=0, le=1)
    magnitude: float = setting(0.3, "Amount by which it is raised or lowered.", ge=0)
    false_positive: float = setting(0.0, "Fraction of wrong answers rewarded as correct.", ge=0, le=1)
    false_negative: float = setting(0.0, "Fraction of correct answers rewarded as wrong.", ge=0, le=1)


@dataclass(frozen=True)
class OverlongConfig:
    """DAPO's length penalty: it grows linearly over the last buffer_tokens before rollout.max_response_tokens."""

    buffer_tokens: int = setting(0, "Tokens over which it grows; 0 is no penalty.", ge=0)
    penalty: float = setting(1.0, "Penalty of a response of rollout.max_response_tokens.", ge=0)


@dataclass(frozen=True)
class ProcessConfig:
    """The process reward model of reward.source=process, initialized from the policy."""

    beta: float = setting(0.05, "Scale of the process reward, PRIME's beta.", gt=0)
    learning_rate: float = setting(1e-6, "Learning rate of the process reward model.", gt=0)
    weight_decay: float | None = setting(None, "Its weight decay; null: learner.weight_decay. PRIME's: 0.", ge=0)
    max_grad_norm: float | None = setting(None, "Its gradient clip; null: learner.max_grad_norm. PRIME's: 10.", gt=0)


@dataclass(frozen=True)
class RewardConfig:
    """The verifiable reward R_verif."""

    source: Literal["verifier", "majority", "self_certainty", "reference", "likelihood", "process"] = setting(
        "verifier",
        "Source of the answer's reward. verifier: 1 for a correct answer. majority: 1 for the most frequent answer of "
        "the prompt's responses (TTRL). self_certainty: mean KL(uniform || policy) of its tokens, nats (INTUITOR). "
        "reference: gain in probability of the gold answer's tokens by the response's reasoning (RLPR). likelihood: "
        "likelihood of the gold answer, which is also trained on (VeriFree). process: as verifier, and a second model, "
        "trained on the outcomes, rewards each token (PRIME).",
    )
    answer_weight: float = setting(0.9, "Weight of the answer's reward.", ge=0)
    format_weight: float = setting(0.1, "Weight of the format's reward.", ge=0)
    extract: Literal["answer_tag", "boxed", "letter", "auto", "none"] = setting(
        "answer_tag", "Where the answer is. answer_tag is strict; auto takes the last final answer in any form."
    )
    rule: Literal["strict", "rlpr", "theoremqa"] = setting(
        "strict",
        "Comparison of answers. rlpr and theoremqa follow those projects' code closely, to compare with their numbers.",
    )
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    overlong: OverlongConfig = field(default_factory=OverlongConfig)
    process: ProcessConfig = field(default_factory=ProcessConfig)
    control: Literal["none", "random", "shuffled_golds"] = setting(
        "none",
        "Uninformative reward, as a control. random: a fair coin. shuffled_golds: a training question is graded by "
        "another's gold answer; held-out questions and benchmarks keep theirs.",
    )


@dataclass(frozen=True)
class OmegaScheduleConfig:
    """Schedule of omega, the bonus weight, over iterations."""

    schedule: Literal["constant", "linear_decay", "warmup_retention", "warmup_decay"] = setting(
        "warmup_decay", "Shape of the schedule."
    )
    max: float = setting(1.0, "Largest omega.", ge=0)
    min: float = setting(0.0, "Smallest omega, at most method.omega.max.", ge=0)
    warmup_fraction: float = setting(0.2, "T_w / T, warm-up iterations over all; the paper gives none.", ge=0, le=1)


@dataclass(frozen=True)
class AdvantageConfig:
    """The group advantage."""

    baseline: Literal["group", "leave_one_out", "batch"] = setting(
        "group", "Subtracted from a reward: mean of its group, of the group's other responses (RLOO), or of the batch."
    )
    std: Literal["population", "sample", "none"] = setting("population", "Std that divides the difference.")
    eps: float = setting(0.0, "Added to the std. Peers: 1e-4 to 1e-9; the paper: none.", ge=0)


@dataclass(frozen=True)
class MethodConfig:
    """The method: a preset of these keys and of learner.*; see config/methods/."""

    name: str = setting("icpo", "Preset, or two: rloo+icpo is RLOO with ICPO's bonus.")
    bonus: Literal["preference", "perplexity", "none"] = setting(
        "preference",
        "Bonus added to the reward, from the preference score (Eq. 11) or the mean negative log-prob (CDE).",
    )
    confidence: Literal["mean_prob", "mean_logprob"] = setting(
        "mean_prob", "mean_prob: log of the mean token probability (Eq. 7)."
    )
    delta: float = setting(0.4, "preference: delta; the paper: 0.5, 0.4, 0.3 for 3B, 7B, 14B.", gt=0)
    alpha: float = setting(1.0, "perplexity: factor of the mean negative log-prob.", gt=0)
    tau: float = setting(2.0, "The bonus is capped at |R| / tau.", gt=0)
    omega: OmegaScheduleConfig = field(default_factory=OmegaScheduleConfig)
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    loss_mean: Literal["response", "token", "constant"] = setting(
        "response",
        "Weight of a token in the loss. response: 1/length of its response (Eq. 4). token: equal (DAPO). constant: "
        "1/max_response_tokens (Dr. GRPO).",
    )


@dataclass(frozen=True)
class LearnerConfig:
    """Optimization: the loss, the optimizer and the memory it may use."""

    mini_batch_prompts: int = setting(192, "Prompts of an optimizer step; divides prompts_per_iteration.", ge=1)
    learning_rate: float = setting(1e-6, "Learning rate of AdamW.", gt=0)
    weight_decay: float = setting(0.01, "Weight decay of AdamW.", ge=0)
    adam_betas: list[float] = setting(
        [0.9, 0.999], "The two betas of AdamW: decay of the first and second moment.", ge=0, lt=1
    )
    kl_coef: float = setting(0.001, "Weight of the KL to the reference model; 0: no such model.", ge=0)
    clip_ratio: float = setting(0.2, "PPO clip ratio.", gt=0)
    clip_ratio_high: float | None = setting(None, "Clip ratio of the upper bound; null is clip_ratio.", gt=0)
    old_logprobs: Literal["learner", "sampler"] = setting(
        "learner", "Old log-probs of the ratio. sampler: vLLM's, which saves a forward pass."
    )
    importance_cap: float | None = setting(
        None,
        "Truncated importance sampling: maximum of a token's probability ratio, learner over sampler. null: no "
        "importance weights; with old_logprobs=sampler, no truncation.",
        ge=1,
    )
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm.", gt=0)
    zero_stage: int | None = setting(
        None,
        "ZeRO stage; null: 2 on GPUs; 1 on CPU, where partitioned gradients save no memory and take longer.",
        ge=0,
        le=3,
    )
    micro_batch_tokens: int = setting(8192, "Maximum tokens of a forward pass; a longer group runs alone.", ge=1)
    logit_chunk_tokens: int = setting(
        256, "Response tokens whose logits are computed at once. The backward pass uses as much memory.", ge=1
    )
    gradient_checkpointing: bool = setting(False, "Recompute activations in the backward pass.")


@dataclass(frozen=True)
class TrainConfig:
    """Length of a run, checkpoints and device."""

    iterations: int = setting(500, "Rollout batches, each with its optimizer steps.", ge=1)
    eval_every: int = setting(10, "Iterations between evaluations.", ge=1)
    save_every: int = setting(10, "Iterations between checkpoints.", ge=1)
    keep_checkpoints: int = setting(2, "Newest checkpoints kept, in addition to the best.", ge=1)
    output_dir: str = setting("runs", "Folder of the runs' folders.")
    shared_start: str | None = setting(None, "Folder in which equal runs share their evaluation at iteration 0.")
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "auto: CUDA if torch sees a GPU, else CPU.")
    collective_timeout_seconds: int = setting(
        1800, "Time limit of a collective; longer than the slowest rollout.", ge=1
    )


@dataclass(frozen=True)
class EvalEngineConfig:
    """vLLM's settings in `icpo eval`, where it has the machine to itself."""

    kv_cache_gib: float = setting(4.0, "CPU: maximum key-value cache, GiB. Less if max_num_seqs needs less.", gt=0)
    gpu_memory_utilization: float = setting(0.9, "CUDA: vLLM's fraction of the GPU's memory.", gt=0)
    max_num_seqs: int = setting(256, "Responses generated at once by an engine.", ge=2)
    tensor_parallel: int = setting(1, "GPUs over which an engine's weights are sharded.", ge=1)
    data_parallel: int = setting(1, "Engines, each a process with all weights.", ge=1)


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation, in training and by `icpo eval`."""

    k: int | None = setting(
        None, "Responses per question; null: each benchmark's own, 1 for held-out questions and if greedy.", ge=1
    )
    temperature: float = setting(1.0, "Sampling temperature; 0 is greedy.", ge=0)
    max_response_tokens: int = setting(
        3072, "Maximum tokens of a response; held-out questions: rollout.max_response_tokens.", ge=1
    )
    limit: int | None = setting(None, "Questions of each benchmark, the first ones; null is all.", ge=1)
    benchmarks: list[str] = setting([], "Names or groups of benchmarks; `icpo eval --bench` sets it.")
    data_dir: str | None = setting(None, "Folder of the benchmarks' data, or one file; null: user's cache, then hub.")
    output_dir: str = setting("evals", "Folder of responses and evaluation records.")
    template: Literal["r1", "r1_answer_only", "few_shot", "plain", "own"] | None = setting(
        None, "null is data.template, own the benchmark's usual form."
    )
    extract: Literal["answer_tag", "boxed", "letter", "auto", "none"] | None = setting(
        None, "Where the answer is; null is the benchmark's own."
    )
    rule: Literal["strict", "rlpr", "theoremqa"] | None = setting(
        None, "Comparison of answers; null is the benchmark's own."
    )
    pass_at: list[int] = setting([], "The k of pass@k; empty: powers of two up to eval.k.", ge=1)
    checkpoint: Literal["last", "best"] = setting("last", "Checkpoint of a training run to evaluate.")
    engine: EvalEngineConfig = field(default_factory=EvalEngineConfig)


@dataclass(frozen=True)
class TrackConfig:
    """MLflow."""

    uri: str | None = setting(None, "Any MLflow store; null is mlflow.db and mlartifacts/ in the working directory.")
    experiment: str = setting("icpo", "MLflow experiment.")
    parent: str | None = setting(None, "Parent MLflow run: for a study's runs, the study's.")


@dataclass(frozen=True)
class Config:
    """The complete configuration."""

    name: str = setting("run", "Name of the run.")
    seed: int = setting(0, "Seed of the run: order of the prompts, sampling, reward noise.", ge=0)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
