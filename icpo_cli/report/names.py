"""Names of models and methods in tables, their order, and which names mean the same model."""

import re
from pathlib import PurePosixPath

FAMILIES = {"gemma": "Gemma", "llama": "Llama", "qwen": "Qwen", "smollm": "SmolLM"}
"""By the word in their models' names, in the order of the tables."""
OTHER = "other"
METHODS = {
    "base": "base",
    "oat_zero": "Oat-Zero",
    "prime": "PRIME",
    "simplerl_zoo": "SimpleRL-Zoo",
    "ttrl": "TTRL",
    "general_reasoner": "General Reasoner",
    "verifree": "VeriFree",
    "rlpr": "RLPR",
    "intuitor": "INTUITOR",
    "dr_grpo": "Dr.GRPO",
    "dapo": "DAPO",
    "reinforce": "REINFORCE",
    "rloo": "RLOO",
    "cde": "CDE",
    "grpo": "GRPO",
    "icpo": "ICPO",
}
"""In the order of a model's rows."""
SCHEDULES = {
    "constant": "No decay",
    "linear_decay": "Linear decay",
    "warmup_retention": "Warmup retention",
    "warmup_decay": "Warmup decay",
}
"""Schedules of omega, in Table 4's order."""
DEFAULT_SCHEDULE = "warmup_decay"
VERIFIERS = {"none": "–", "rule": "Rule", "model": "Model"}


def model_title(path: str) -> str:
    """A model's name without its folder or its organisation on the hub."""
    return PurePosixPath(path).name or path


def family(model: str) -> str:
    """gemma, llama, qwen, ...; `other` if the name holds none of them."""
    lowered = model.lower()
    return next((name for name in FAMILIES if name in lowered), OTHER)


def series(model: str) -> str:
    """Family, version and kind, as Table 3 groups models: Qwen2.5-Instruct."""
    name = family(model)
    if name == OTHER:
        return "Other"
    version = re.search(rf"{name}[-_ ]?(\d+(\.\d+)?)(?![\d.]*b)", model.lower())
    kind = "Instruct" if re.search(r"[-_](inst|instruct|it|chat)$", model.lower()) else "Base"
    return f"{FAMILIES[name]}{version[1] if version else ''}-{kind}"


def family_heading(name: str) -> str:
    """Heading of a group of rows: Qwen Models. A family that the user named is kept as it is."""
    if name == OTHER:
        return "Other Models"
    return f"{FAMILIES[name]} Models" if name in FAMILIES else name


def model_order(model: str) -> tuple[int, str, float, str]:
    """Sort key: family, then series, then size."""
    name = family(model)
    index = [*FAMILIES, OTHER].index(name)
    return index, series(model).lower(), _billions(model), model.lower()


def method_title(method: str) -> str:
    """icpo:constant becomes ICPO, ω constant; rloo+icpo becomes RLOO + ICPO."""
    name, _, schedule = method.partition(":")
    title = " + ".join(METHODS.get(part, part) for part in name.split("+"))
    return f"{title}, ω {schedule.replace('_', ' ')}" if schedule else title


def method_order(method: str) -> tuple[float, int, str]:
    """Sort key: METHODS' order, with unknown methods before GRPO; schedules in Table 4's order."""
    name, _, schedule = method.partition(":")
    known = list(METHODS)
    index = known.index(name) if name in METHODS else known.index("grpo") - 0.5
    schedules = list(SCHEDULES)
    return index, schedules.index(schedule) if schedule in schedules else len(schedules), method


def same_model(model: str) -> str:
    """Key of a model under any of its names: Qwen/Qwen2.5-7B-Instruct, Qwen2.5-7B-Inst; Qwen3-4B-Base, Qwen3-4B."""
    name = model_title(model).lower().replace("instruct", "inst").removesuffix("-base")
    return re.sub(r"[^a-z0-9]", "", name)


def same_method(method: str) -> str:
    """Key of a method: the name without the default schedule of omega."""
    return method.removesuffix(f":{DEFAULT_SCHEDULE}")


def _billions(model: str) -> float:
    """Billions of parameters, from the name; 0 if it does not say."""
    size = re.search(r"(?<![\d.a-z])(\d+(?:\.\d+)?)([bm])(?![a-z])", model.lower())
    return float(size[1]) * (1.0 if size[2] == "b" else 0.001) if size else 0.0
