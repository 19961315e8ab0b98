"""The policy as a module from packed rows to token log-probs: never more logits than one chunk's."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, PreTrainedModel

from icpo_cli.learner.pack import Packed, sees


class TokenScores(NamedTuple):
    """Of every response token of a micro-batch; 0 on padding."""

    logprob: Tensor  # [B, G, T] nats, float32
    entropy: Tensor | None  # [B, G, T] nats, float32
    self_certainty: Tensor | None  # [B, G, T] nats, float32


def load_model(path: str, revision: str | None, dtype: torch.dtype) -> PreTrainedModel:
    """The causal language model of a folder or hub id; remote code off, safetensors only."""
    # Soft-capped attention (Gemma2) exists only in the eager form.
    model = AutoModelForCausalLM.from_pretrained(
        path, revision=revision, dtype=dtype, trust_remote_code=False, use_safetensors=True
    )
    if getattr(model.config, "attn_logit_softcapping", None) is not None:
        model.set_attn_implementation("eager")
    return model


class Policy(nn.Module):
    """A causal language model seen through its response tokens."""

    def __init__(self, model: PreTrainedModel, chunk_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.chunk_tokens = chunk_tokens

    def forward(
        self, packed: Packed, temperature: float, with_entropy: bool = False, with_self_certainty: bool = False
    ) -> TokenScores:
        """Log-probs of the tokens as sampled at `temperature`, with gradient where it is on; the rest without."""
        hidden = self.model.base_model(
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            attention_mask=self._attention_mask(packed),
            use_cache=False,
        ).last_hidden_state  # [B, L, H]
        predictors = hidden.flatten(0, 1)[packed.source]  # [N, H]
        score, chunks = self._score_chunk, []
        wanted = (temperature, with_entropy, with_self_certainty)
        for h, target in zip(
            torch.split(predictors, self.chunk_tokens), torch.split(packed.target, self.chunk_tokens), strict=True
        ):
            if torch.is_grad_enabled():
                # The backward makes the chunk's logits again instead of keeping [N, V] alive.
                chunks.append(checkpoint(score, h, target, *wanted, use_reentrant=False))
            else:
                chunks.append(score(h, target, *wanted))
        logprob, entropy, self_certainty = (packed.unpack(torch.cat(values)) for values in zip(*chunks, strict=True))
        return TokenScores(logprob, entropy if with_entropy else None, self_certainty if with_self_certainty else None)

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits in float32, soft-capped where the model says so. [N, H] -> [N, V]"""
        logits: Tensor = self.model.get_output_embeddings()(hidden).float()
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    def _score_chunk(
        self, hidden: Tensor, target: Tensor, temperature: float, with_entropy: bool, with_self_certainty: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[N, H], [N] -> log-probs, entropies and self-certainties, [N] each (zeros unless asked for)"""
        logits = self.logits(hidden) / temperature  # [N, V]
        normaliser = logits.logsumexp(-1)  # [N]
        logprob = logits.gather(-1, target[:, None]).squeeze(-1) - normaliser  # [N]
        entropy = self_certainty = torch.zeros_like(normaliser)
        with torch.no_grad():
            if with_entropy:
                probability = (logits - normaliser[:, None]).exp()  # [N, V]
                entropy = normaliser - (probability * logits).sum(-1)
            if with_self_certainty:  # KL(uniform || policy) = -log V - mean over the vocabulary of log-probs
                self_certainty = normaliser - logits.mean(-1) - math.log(logits.shape[-1])
        return logprob, entropy, self_certainty

    def _attention_mask(self, packed: Packed) -> Tensor | dict[str, Tensor]:
        """The block mask in the form that the model's attention takes, one for each kind of its layers."""
        full = sees(packed.segment)  # bool [B, 1, L, L]
        config = self.model.config
        layer_types = getattr(config, "layer_types", None)
        if layer_types is None:
            return self._as_taken(full)
        masks = {"full_attention": self._as_taken(full)}
        if "sliding_attention" in layer_types:
            distance = packed.position_ids[:, :, None] - packed.position_ids[:, None, :]  # [B, L, L]
            masks["sliding_attention"] = self._as_taken(full & (distance < config.sliding_window)[:, None])
        return masks

    def _as_taken(self, mask: Tensor) -> Tensor:
        """Eager attention adds its mask; the others take a boolean one."""
        if self.model.config._attn_implementation != "eager":
            return mask
        lowest = torch.finfo(self.model.dtype).min
        return torch.zeros(mask.shape, dtype=self.model.dtype, device=mask.device).masked_fill(~mask, lowest)
