"""The policy as a module from packed rows to token log-probs: never more logits than one chunk's."""

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

    def forward(self, packed: Packed, temperature: float, with_entropy: bool = False) -> TokenScores:
        """Log-probs of the tokens as sampled at `temperature`, with gradient where it is on; entropy without."""
        hidden = self.model.base_model(
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            attention_mask=self._attention_mask(packed),
            use_cache=False,
        ).last_hidden_state  # [B, L, H]
        predictors = hidden.flatten(0, 1)[packed.source]  # [N, H]
        score, logprobs, entropies = self._score_chunk, [], []
        for h, target in zip(
            torch.split(predictors, self.chunk_tokens), torch.split(packed.target, self.chunk_tokens), strict=True
        ):
            if torch.is_grad_enabled():
                # The backward makes the chunk's logits again instead of keeping [N, V] alive.
                logprob, entropy = checkpoint(score, h, target, temperature, with_entropy, use_reentrant=False)
            else:
                logprob, entropy = score(h, target, temperature, with_entropy)
            logprobs.append(logprob)
            entropies.append(entropy)
        return TokenScores(
            logprob=packed.unpack(torch.cat(logprobs)),
            entropy=packed.unpack(torch.cat(entropies)) if with_entropy else None,
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits in float32, soft-capped where the model says so. [N, H] -> [N, V]"""
        logits: Tensor = self.model.get_output_embeddings()(hidden).float()
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    def _score_chunk(
        self, hidden: Tensor, target: Tensor, temperature: float, with_entropy: bool
    ) -> tuple[Tensor, Tensor]:
        """[N, H], [N] -> log-probs [N], entropies [N] (zeros unless asked for)"""
        logits = self.logits(hidden) / temperature  # [N, V]
        normaliser = logits.logsumexp(-1)  # [N]
        logprob = logits.gather(-1, target[:, None]).squeeze(-1) - normaliser  # [N]
        if not with_entropy:
            return logprob, torch.zeros_like(normaliser)
        with torch.no_grad():
            probability = (logits - normaliser[:, None]).exp()  # [N, V]
            return logprob, normaliser - (probability * logits).sum(-1)

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
