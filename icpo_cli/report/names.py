"""What models and methods are called in tables, in which order they stand, and when two names mean one model."""

import re
from pathlib import PurePosixPath

FAMILIES = {"gemma": "Gemma", "llama": "Llama", "qwen": "Qwen", "smollm": "SmolLM"}
"""By what their models' names hold, in the order of the tables."""
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
"""In the order in which a model's rows stand."""
SCHEDULES = {
    "constant": "No decay",
    "linear_decay": "Linear decay",
    "warmup_retention": "Warmup retention",
    "warmup_decay": "Warmup decay",
}
"""Of omega, in Table 4's order."""
DEFAULT_SCHEDULE = "warmup_decay"
VERIFIERS = {"none": "–", "rule": "Rule", "model": "Model"}


def model_title(path: str) -> str:
    """A model's name without the folder or the hub's organisation that it is in."""
    return PurePosixPath(path).name or path


def family(model: str) -> str:
    """gemma, llama, qwen, ...; `other` where the name tells none."""
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
    """Of a group of rows: Qwen Models. A family that the user named stands as it is written."""
    if name == OTHER:
        return "Other Models"
    return f"{FAMILIES[name]} Models" if name in FAMILIES else name


def model_order(model: str) -> tuple[int, str, float, str]:
    """Sorts by family, then series, then size."""
    name = family(model)
    place = [*FAMILIES, OTHER].index(name)
    return place, series(model).lower(), _billions(model), model.lower()


def method_title(method: str) -> str:
    """icpo:constant becomes ICPO, ω constant; rloo+icpo becomes RLOO + ICPO."""
    name, _, schedule = method.partition(":")
    title = " + ".join(METHODS.get(part, part) for part in name.split("+"))
    return f"{title}, ω {schedule.replace('_', ' ')}" if schedule else title


def method_order(method: str) -> tuple[float, int, str]:
    """METHODS' order, those that it has not before GRPO; schedules in Table 4's."""
    name, _, schedule = method.partition(":")
    known = list(METHODS)
    place = known.index(name) if name in METHODS else known.index("grpo") - 0.5
    schedules = list(SCHEDULES)
    return place, schedules.index(schedule) if schedule in schedules else len(schedules), method


def same_model(model: str) -> str:
    """Equal for two names of one model: Qwen/Qwen2.5-7B-Instruct and Qwen2.5-7B-Inst, Qwen3-4B-Base and Qwen3-4B."""
    name = model_title(model).lower().replace("instruct", "inst").removesuffix("-base")
    return re.sub(r"[^a-z0-9]", "", name)


def same_method(method: str) -> str:
    """The default schedule of omega need not be named."""
    return method.removesuffix(f":{DEFAULT_SCHEDULE}")


def _billions(model: str) -> float:
    """Of parameters, as the name has them; 0 where it does not say."""
    size = re.search(r"(?<![\d.a-z])(\d+(?:\.\d+)?)([bm])(?![a-z])", model.lower())
    return float(size[1]) * (1.0 if size[2] == "b" else 0.001) if size else 0.0
