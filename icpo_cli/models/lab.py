"""The lab model: trained from scratch by next-token prediction on worked sums, in minutes on one core.

    Calculate 34 + 28 + 9.
    <think>34+20=54+8=62+9=71</think><answer>71</answer>

A number is added at once or digit by digit, at random, and some answers have no reasoning. So the model learns several
ways to each answer, long and reliable or short and risky, and its responses differ between samples.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Terms = list[int]
"""The numbers of a sum."""
SPECIAL = ["<pad>", "<eos>", "<unk>"]
TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
CHARACTERS = " \n.+-=:0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<>/"
POOL = 8
"""Batches drawn together and split by length, so that batches contain little padding."""
IGNORE_INDEX = -100
"""Label of a token without loss."""
SAY_EVERY = 200
"""Batches between two progress messages."""


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights, on one kind of processor."""

    hidden_size: int = 160
    layers: int = 4
    heads: int = 5
    context: int = 256
    terms: tuple[int, int] = (2, 3)
    """Minimum and maximum count of numbers in a sum."""
    digits: tuple[int, int] = (1, 2)
    """Minimum and maximum digits; numbers from 0 to 10**digits, both included, as in reasoning_gym."""
    split_rate: float = 0.5
    """Probability that two adjacent digits of a number are added one after the other."""
    guess_rate: float = 0.15
    """Share of answers without reasoning."""
    batches: int = 4000
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup_batches: int = 50
    weight_decay: float = 0.01
    seed: int = 0


def build(folder: Path, recipe: Recipe, say: Callable[[str], None] = lambda text: None) -> None:
    """Train the model in float32 and write a Hugging Face folder; `say` receives progress messages."""
    tokenizer = make_tokenizer()
    model = make_model(recipe, len(tokenizer))
    with _one_thread():  # with several, sums round differently and the weights depend on their number
        pretrain(model, tokenizer, recipe, say)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token per character or tag; its chat template writes one line per message."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *TAGS, *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("</?think>|</?answer>|[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m['content'] }}\n{% endfor %}",
        clean_up_tokenization_spaces=False,
    )


def make_model(recipe: Recipe, vocab_size: int) -> LlamaForCausalLM:
    """A model with random weights from the recipe's seed; the process's random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocab_size,
                hidden_size=recipe.hidden_size,
                intermediate_size=recipe.hidden_size * 8 // 3 // 32 * 32,
                num_hidden_layers=recipe.layers,
                num_attention_heads=recipe.heads,
                num_key_value_heads=recipe.heads,
                max_position_embeddings=recipe.context,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=1,
                pad_token_id=0,
            )
        )


def pretrain(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, say: Callable[[str], None]
) -> None:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98), fused=True
    )
    for number, (input_ids, labels) in enumerate(_batches(tokenizer, recipe), 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _lr_factor(number, recipe)
        # Padding is on the right, so causal attention never sees it.
        loss = model(input_ids=input_ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if number % SAY_EVERY == 0:
            say(f"batch {number} of {recipe.batches}: loss {float(loss.detach()):.3f}")


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _lr_factor(number: int, recipe: Recipe) -> float:
    """Learning rate factor: linear warm-up, then cosine decay to 0."""
    if number <= recipe.warmup_batches:
        return number / recipe.warmup_batches
    done = (number - recipe.warmup_batches) / max(recipe.batches - recipe.warmup_batches, 1)
    return (1 + math.cos(math.pi * done)) / 2


def _batches(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens [B, L], and labels [B, L] without question and padding."""
    draw = Random(recipe.seed)
    for start in range(0, recipe.batches, POOL):
        rows = sorted((_row(tokenizer, recipe, draw) for _ in range(POOL * recipe.batch_size)), key=_length)
        batches = [rows[place : place + recipe.batch_size] for place in range(0, len(rows), recipe.batch_size)]
        draw.shuffle(batches)
        for batch in batches[: recipe.batches - start]:
            yield (
                _padded([prompt + response for prompt, response in batch], 0),
                _padded([[IGNORE_INDEX] * len(prompt) + response for prompt, response in batch], IGNORE_INDEX),
            )


Example = tuple[list[int], list[int]]
"""Tokens of a prompt and of its response."""


def _row(tokenizer: PreTrainedTokenizerFast, recipe: Recipe, draw: Random) -> Example:
    terms = draw_terms(recipe, draw)
    message = [{"role": "user", "content": question_of(terms)}]
    prompt = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    response = response_to(terms, recipe, draw)
    return tokenizer.encode(prompt), [*tokenizer.encode(response), tokenizer.eos_token_id]


def _length(row: Example) -> int:
    return len(row[0]) + len(row[1])


def _padded(rows: list[list[int]], fill: int) -> Tensor:
    """Right-padded tokens [B, L]."""
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def draw_terms(recipe: Recipe, draw: Random) -> Terms:
    largest = 10 ** draw.randint(*recipe.digits)
    return [draw.randint(0, largest) for _ in range(draw.randint(*recipe.terms))]


def question_of(terms: Terms) -> str:
    """The question in reasoning_gym's form."""
    return f"Calculate {' + '.join(map(str, terms))}."


def response_to(terms: Terms, recipe: Recipe, draw: Random) -> str:
    """A response with one random way to the answer."""
    steps = "" if draw.random() < recipe.guess_rate else _worked_steps(terms, recipe, draw)
    return f"<think>{steps}</think><answer>{sum(terms)}</answer>"


def _worked_steps(terms: Terms, recipe: Recipe, draw: Random) -> str:
    value, steps = terms[0], str(terms[0])
    for part in (part for term in terms[1:] for part in _parts(term, recipe, draw)):
        value += part
        steps += f"+{part}={value}"
    return steps


def _parts(term: int, recipe: Recipe, draw: Random) -> Terms:
    """Split a number between some of its nonzero digits: 28 into 20 and 8, or not at all."""
    places = [10**place for place, digit in enumerate(reversed(str(term))) if digit != "0"]
    cuts = [place for place in places[1:] if draw.random() < recipe.split_rate]
    return [
        term % above // below * below for above, below in pairwise([10 * max(places, default=1), *reversed(cuts), 1])
    ]
