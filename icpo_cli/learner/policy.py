"""The policy as a module from packed groups to token log-probs."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from icpo_cli.errors import UserError
from icpo_cli.learner import attention
from icpo_cli.learner.cpu import chunked_ops
from icpo_cli.learner.cpu.recompute import Remade
from icpo_cli.learner.layout import Layout
from icpo_cli.learner.logits import Wanted, token_values
from icpo_cli.learner.pack import Packed


class TokenScores(NamedTuple):
    """Of every response token of a micro-batch; 0 on padding."""

    logprob: Tensor  # [P, G, T] nats, float32
    entropy: Tensor | None  # [P, G, T] nats, float32
    self_certainty: Tensor | None  # [P, G, T] nats, float32


def load_model(path: str, revision: str | None, dtype: torch.dtype) -> PreTrainedModel:
    """The causal language model of a folder or hub id; remote code off, safetensors only."""
    return AutoModelForCausalLM.from_pretrained(
        path, revision=revision, dtype=dtype, trust_remote_code=False, use_safetensors=True
    )


class Policy(nn.Module):
    """A causal language model seen through its response tokens."""

    def __init__(self, model: PreTrainedModel, chunk_tokens: int, gradient_checkpointing: bool = False) -> None:
        """Raises UserError on a model that it would compute wrongly."""
        super().__init__()
        unknown = set(getattr(model.config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
        if unknown or model.get_output_embeddings().bias is not None:
            what = f"layers of {', '.join(sorted(unknown))}" if unknown else "an output head with a bias"
            raise UserError(
                f"model.path: a {model.config.model_type} model has {what}, which the learner does not know"
            )
        model.set_attn_implementation(attention.NAME)
        self._remade = Remade()
        chunked_ops.install(model, self._remade)
        if gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model = model
        self.checkpoints = gradient_checkpointing
        self.chunk_tokens = chunk_tokens

    @property
    def head(self) -> nn.Linear:
        """From hidden states to logits."""
        head: nn.Linear = self.model.get_output_embeddings()
        return head

    def forward(
        self, packed: Packed, temperature: float, with_entropy: bool = False, with_self_certainty: bool = False
    ) -> TokenScores:
        """Log-probs of the tokens as sampled at `temperature`, with gradient where it is on; the rest without."""
        # With checkpointing all of a layer is made again.
        with nullcontext() if self.checkpoints else self._remade.instead_of_keeping():
            hidden = self.model.base_model(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                layout=Layout(packed.levels),
                use_cache=False,
            ).last_hidden_state  # [1, L, H]
        predictors = hidden[0].index_select(0, packed.source)  # [N, H]
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        wanted = Wanted(temperature, softcap, with_entropy, with_self_certainty)
        values = token_values(predictors, self.head.weight, packed.target, wanted, self.chunk_tokens)
        return TokenScores(
            logprob=packed.unpack(values.logprob),
            entropy=packed.unpack(values.entropy) if with_entropy else None,
            self_certainty=packed.unpack(values.self_certainty) if with_self_certainty else None,
        )
