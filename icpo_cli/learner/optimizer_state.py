"""Master weights and optimizer state on disk, independent of the number of ranks and the ZeRO stage.

Each rank writes the pieces of the flattened parameters that it owns, as safetensors named NAME:START:KIND. A rank that
loads reads the ranges that it owns, whoever wrote them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW

KINDS = ("weight", "exp_avg", "exp_avg_sq")
FILE_BYTES = 2 * 2**30
"""A rank copies this much to host memory at once."""
FILES = "rank-*.safetensors"


@dataclass(frozen=True)
class OwnedPiece:
    """The range [start, start + numel) of a flattened parameter whose optimizer state this rank has."""

    name: str
    start: int
    numel: int
    master: Tensor
    """The float32 tensor that the optimizer steps."""
    offset: int
    """Where the range begins in the flattened master."""

    def tensor(self, optimizer: AdamW, kind: str) -> Tensor:
        """A view of its master weights or of one of their moments. [numel]"""
        whole = self.master.detach() if kind == "weight" else optimizer.state[self.master][kind]
        return whole.view(-1).narrow(0, self.offset, self.numel)


def owned_pieces(parameters: Mapping[str, Parameter], optimizer: AdamW, engine: Any) -> list[OwnedPiece]:
    """The pieces of this rank: of ZeRO's partition, or without ZeRO everything. `engine`: DeepSpeed's.

    Where the optimizer has no state yet it gets the zeros with which it would begin.
    """
    wrapper = engine.optimizer
    partitions = getattr(wrapper, "fp32_partitioned_groups_flat", None)  # ZeRO 3
    masters = partitions or [master for group in optimizer.param_groups for master in group["params"]]
    for master in masters:
        if not optimizer.state[master]:
            optimizer.state[master] = {
                "step": torch.zeros((), dtype=torch.float32, device=master.device),
                **{kind: torch.zeros_like(master, requires_grad=False) for kind in KINDS[1:]},
            }
    if engine.zero_optimization_stage() == 0:
        pairs = zip(parameters.items(), masters, strict=True)
        return [OwnedPiece(name, 0, each.numel(), master, 0) for (name, each), master in pairs]
    pieces = []
    for name, parameter in parameters.items():
        if partitions:
            group, offset, size = wrapper.grad_position[wrapper.get_param_id(parameter)]
            start = size * wrapper._get_param_partition_rank(parameter)
            numel = min(size, parameter.ds_numel - start)  # type: ignore[attr-defined]  # the last ranks have padding
            pieces.append(OwnedPiece(name, start, numel, partitions[group], offset))
        elif (mapping := parameter._hp_mapping) is not None:  # type: ignore[attr-defined]
            own, within = mapping.hp_fragment_address, mapping.lp_fragment_address
            pieces.append(OwnedPiece(name, within.start, own.numel, masters[mapping.param_group_index], own.start))
    return [piece for piece in pieces if piece.numel > 0]


def write_state(folder: Path, rank: int, pieces: list[OwnedPiece], optimizer: AdamW) -> None:
    """Write this rank's pieces, in files of about FILE_BYTES, and the optimizer's number of steps."""
    folder.mkdir(parents=True, exist_ok=True)
    batch: dict[str, Tensor] = {}
    number = 0

    def flush() -> None:
        steps = {"steps": str(int(optimizer.state[pieces[0].master]["step"]))}
        save_file(batch, folder / f"rank-{rank:05d}-{number:05d}.safetensors", metadata=steps)
        batch.clear()

    for piece in pieces:
        for kind in KINDS:
            batch[f"{piece.name}:{piece.start}:{kind}"] = piece.tensor(optimizer, kind).cpu().clone()
        if sum(tensor.nbytes for tensor in batch.values()) >= FILE_BYTES:
            flush()
            number += 1
    if batch:
        flush()


def read_state(folder: Path, pieces: list[OwnedPiece], optimizer: AdamW) -> "StoredState":
    """Fill this rank's pieces; returns what is stored, from which the model's weights can be read too."""
    stored = StoredState(folder)
    for piece in pieces:
        for kind in KINDS:
            piece.tensor(optimizer, kind).copy_(stored.read(piece.name, kind, piece.start, piece.numel))
        optimizer.state[piece.master]["step"].fill_(stored.steps)
    return stored


class StoredState:
    """The state that all ranks of a run wrote; only the ranges that are read are loaded."""

    def __init__(self, folder: Path) -> None:
        self._files = [safe_open(path, framework="pt") for path in sorted(folder.glob(FILES))]
        self._index: dict[tuple[str, str], list[tuple[int, str, Any]]] = defaultdict(list)
        for file in self._files:
            for key in file.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118 - not a mapping
                name, start, kind = key.rsplit(":", 2)
                self._index[name, kind].append((int(start), key, file))
        self.steps = float(self._files[0].metadata()["steps"])  # type: ignore[no-untyped-call]

    def read(self, name: str, kind: str, start: int, numel: int) -> Tensor:
        """The range [start, start + numel) of a flattened parameter. Raises ValueError if a part is missing."""
        out = torch.empty(numel, dtype=torch.float32)
        found = 0
        for at, part in self._parts(name, kind, start, start + numel):
            out[at : at + part.numel()] = part
            found += part.numel()
        if found != numel:
            raise ValueError(f"{name}: {found} of {numel} values found in the checkpoint's state")
        return out

    def _parts(self, name: str, kind: str, start: int, end: int) -> Iterator[tuple[int, Tensor]]:
        for begin, key, file in self._index[name, kind]:
            stored = file.get_slice(key)
            low, high = max(start, begin), min(end, begin + stored.get_shape()[0])
            if low < high:
                yield low - start, stored[low - begin : high - begin]
