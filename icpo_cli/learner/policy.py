"""The policy as a module: packed groups in, token log-probs out."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from icpo_cli.errors import UserError
from icpo_cli.learner import attention, layer_ops
from icpo_cli.learner.logits import LogitOptions, token_values
from icpo_cli.learner.pack import Packed
from icpo_cli.learner.prefix_tree import PrefixTree
from icpo_cli.learner.recompute import SelectiveRecompute


class TokenStats(NamedTuple):
    """Log-prob, entropy and self-certainty of every response token of a micro-batch; 0 on padding."""

    logprob: Tensor  # [P, G, T] nats, float32
    entropy: Tensor | None  # [P, G, T] nats, float32
    self_certainty: Tensor | None  # [P, G, T] nats, float32


def load_model(path: str, dtype: torch.dtype) -> PreTrainedModel:
    """Load the causal language model of a local folder; remote code off, safetensors only."""
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, trust_remote_code=False, use_safetensors=True)


class Policy(nn.Module):
    """A causal language model that computes the log-probs of packed responses."""

    def __init__(self, model: PreTrainedModel, chunk_tokens: int, gradient_checkpointing: bool = False) -> None:
        """Raises UserError for a model whose layers the learner does not support."""
        super().__init__()
        unknown = set(getattr(model.config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
        if unknown or model.get_output_embeddings().bias is not None:
            what = f"layers of type {', '.join(sorted(unknown))}" if unknown else "an LM head with a bias"
            raise UserError(
                f"model.path: a {model.config.model_type} model has {what}, which the learner does not support"
            )
        model.set_attn_implementation(attention.NAME)
        self._recompute = SelectiveRecompute()
        layer_ops.install(model, self._recompute)
        if gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model = model
        self.gradient_checkpointing = gradient_checkpointing
        self.chunk_tokens = chunk_tokens

    @property
    def lm_head(self) -> nn.Linear:
        lm_head: nn.Linear = self.model.get_output_embeddings()
        return lm_head

    def forward(
        self, packed: Packed, temperature: float, with_entropy: bool = False, with_self_certainty: bool = False
    ) -> TokenStats:
        """Log-probs at the sampling temperature, with gradient if enabled; entropy and self-certainty without."""
        # Gradient checkpointing recomputes entire layers, so single operations need no recomputation.
        with nullcontext() if self.gradient_checkpointing else self._recompute.saved_tensors():
            hidden = self.model.base_model(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                prefix_tree=PrefixTree(packed.levels),
                use_cache=False,
            ).last_hidden_state  # [1, L, H]
        predictors = hidden[0].index_select(0, packed.source)  # [N, H]
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        options = LogitOptions(temperature, softcap, with_entropy, with_self_certainty)
        values = token_values(predictors, self.lm_head.weight, packed.target, options, self.chunk_tokens)
        return TokenStats(
            logprob=packed.unpack(values.logprob),
            entropy=packed.unpack(values.entropy) if with_entropy else None,
            self_certainty=packed.unpack(values.self_certainty) if with_self_certainty else None,
        )
