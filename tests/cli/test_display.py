import io

from icpo_cli.cli.display import sparkline
from icpo_cli.cli.train_display import TrainProgress
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.text import printable

METRICS = {
    "reward/verif": 0.5,
    "accuracy": 0.45,
    "entropy": 1.25,
    "omega": 0.8,
    "seconds/iteration": 10.0,
    "tokens_per_second/device": 1234.5,
    "mfu/update": 0.414,
    "seconds/rollout_wait": 0.5,
    "seconds/rollout_tail": 1.5,
    "padding_share": 0.125,
    **{f"seconds/{name}": 2.0 for name in ("rollout", "reward", "logprobs", "update", "sync")},
}
SPEED = "1,234 tokens/s/device  MFU 41%  rollout wait 0.5 s  tail 1.5 s  padding 12%"
EVALUATION = EvalResult("heldout", "held-out accuracy", 120, 1, 33.3, 4.2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_have_metrics_and_time_left() -> None:
    stream = io.StringIO()
    lines = TrainProgress(stream, "run", iterations=4)
    lines.iteration(1, METRICS)
    lines.evaluation(1, EVALUATION)
    lines.note("a\x1b[31mb")
    text = stream.getvalue()
    assert "iteration 1/4  reward 0.500  accuracy 45.0%  entropy 1.250  omega 0.80" in text
    assert f"{SPEED}  eta 0:00:30" in text
    assert "after 1 iterations: held-out accuracy 33.3 % ± 4.2 (120 questions, avg@1)" in text
    assert "\x1b" not in text


def test_the_live_view_draws_curves_phase_and_accuracy() -> None:
    stream = Terminal()
    progress = TrainProgress(stream, "my [bold]run", iterations=4)
    with progress.display:
        progress.phase(1, "rollout")
        progress.iteration(1, METRICS)
        progress.evaluation(1, EVALUATION)
        progress.phase(2, "update")
    text = stream.getvalue()
    assert "my [bold]run" in text  # a name is text, not markup
    assert "iteration 2/4  update" in text and "eta 0:00:30" in text
    assert "after 1: held-out accuracy 33.3 %" in text
    assert "entropy" in text and "1.250" in text
    assert SPEED in text


def test_sparkline_and_printable() -> None:
    assert sparkline([0.0, 0.5, 1.0], 10) == "▁▅█"
    assert sparkline([1.0, 1.0], 10) == "▁▁"
    assert sparkline([], 10) == ""
    assert printable("a\x00\u202eb") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"
