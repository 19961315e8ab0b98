"""The sources of rewards, by name."""

from icpo_cli.rewards.likelihood import from_reference_likelihood
from icpo_cli.rewards.majority import from_majority
from icpo_cli.rewards.process import from_process
from icpo_cli.rewards.reference import from_reference_probability
from icpo_cli.rewards.self_certainty import from_self_certainty
from icpo_cli.rewards.source import Source, from_verdicts

SOURCES: dict[str, Source] = {
    "verifier": from_verdicts,
    "majority": from_majority,
    "self_certainty": from_self_certainty,
    "reference": from_reference_probability,
    "likelihood": from_reference_likelihood,
    "process": from_process,
}
OF_RESPONSES = frozenset(("verifier", "majority", "reference"))
"""Those that say what a response is worth before its log-probs are known, and no more."""
NEED_SELF_CERTAINTY = frozenset(("self_certainty",))
"""Those for which the learner's pass computes it."""
NEED_PROCESS_MODEL = frozenset(("process",))
"""Those with a second model to train."""
NEED_REFERENCE = frozenset(("reference", "likelihood"))
"""Those that put the gold answer's tokens behind a response's reasoning."""
